"""Secrets are masked in log lines."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from stemline.runtime.redaction import MASK, Redaction, secrets_of
from stemline.runtime.settings import BucketAccess, Credential, Settings


@pytest.mark.parametrize(
    "text",
    [
        "Connected to redis://:hunter2-and-more@127.0.0.1:6379/0",
        "amqp://guest:hunter2-and-more@rabbit/",
        "https://receiver.example/hook?token=hunter2-and-more",
        "GET https://b.s3.example/o?X-Amz-Signature=hunter2-and-more",
        "q-sign-algorithm=sha1&q-signature=hunter2-and-more",
        "Authorization: Bearer hunter2-and-more",
        "{'authorization': 'hunter2-and-more'}",
        "master=main&sentinel_password=hunter2-and-more",
        "signed with whsec_hunter2-and-more",
        "Value error [type=value_error, input_value={'secret_key': 'hunter2-and-more'}, input_type=dict]",
    ],
)
def test_secrets_are_recognised_by_their_form(text):
    """A URL's password, a signed query, a signature and a refused input are masked in any text."""
    cleaned = Redaction().text(text)
    assert "hunter2" not in cleaned
    assert MASK in cleaned


@pytest.mark.parametrize(
    "name",
    [
        "q-signature",
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "x-cos-security-token",
        "x-ci-security-token",
        "Signature",
        "AWSAccessKeyId",
    ],
)
@pytest.mark.parametrize("form", [str, str.lower, str.upper])
def test_parameters_that_sign_are_masked_wherever_they_are(name, form):
    """Without a URL around them, in any case of letters; what follows stays."""
    cleaned = Redaction().text(f"refused: a=1&{form(name)}=hunter2-and-more&b=2")
    assert f"refused: a=1&{form(name)}={MASK}&b=2" == cleaned


@pytest.mark.parametrize(
    "name",
    [
        "secret_key",
        "Authorization",
        "user_data",
        "UserData",
        "body",
        "password",
        "webhook_secrets",
        "SecretKey",
        "passwd",
        "passphrase",
        "cookie",
        "Set-Cookie",
        "q-signature",
        "webhook_secret",
        "secret",
        "own_secret",
        "request_body",
        "answer",
        "credentials",
        "headers",
        "security_token",
        "SecurityToken",
    ],
)
def test_secrets_are_recognised_by_their_keys(name):
    """The value of a key that names a secret, a body or user data is masked, at any depth."""
    assert {"a": [{name: MASK}]} == Redaction()({}, "info", {"a": [{name: "anything"}]})


def test_what_an_operator_needs_is_not_masked():
    """Ids, numbers, locations and the SecretId stay; bytes are shown as their number."""
    event = {
        "job": "j" + "0" * 32,
        "token": 3,
        "secret_id": "AKID",
        "key": "out/song.mp3",
        "url": "https://receiver.example/hook",
        "cost": None,
        "stages": {"infer": 0.5},
    }
    assert event == Redaction()({}, "info", dict(event))
    assert {"data": "[3 bytes]"} == Redaction()({}, "info", {"data": b"abc"})


def test_every_secret_of_the_settings_is_found():
    """Secrets are found at any depth; of a URL, its password alone."""
    settings = Settings(
        redis_url=SecretStr("redis://:valkey-password@127.0.0.1/0"),
        credentials=(Credential(secret_id="id", secret_key=SecretStr("key-of-id")),),
        buckets={"*": BucketAccess(access_key="s3", secret_key=SecretStr("key-of-s3"))},
        webhook_secrets=(SecretStr("whsec_abcdef"),),
    )
    expected = {"valkey-password", "key-of-id", "key-of-s3", "whsec_abcdef"}
    assert expected == {secret for secret in secrets_of(settings) if secret}


def test_literal_secrets_are_masked_wherever_they_appear():
    """Secrets given at the start, and those a source returns later, are masked in keys' values and texts."""
    secrets = frozenset({"first-secret"})
    redaction = Redaction(["constant-secret"], lambda: secrets)
    line = {"event": "first-secret, next-secret", "reason": ["constant-secret"]}
    assert {"event": f"{MASK}, next-secret", "reason": [MASK]} == redaction({}, "info", dict(line))
    secrets = frozenset({"first-secret", "next-secret"})
    assert {"event": f"{MASK}, {MASK}", "reason": [MASK]} == redaction({}, "info", dict(line))


def test_short_secrets_do_not_blank_out_lines():
    """A secret of a few characters, which would occur in ordinary words, is not masked by its text."""
    assert "a job" == Redaction(["job"]).text("a job")


@pytest.mark.parametrize("length", [4_090, 4_096, 4_100, 5_000, 100_000])
def test_long_texts_are_cut_without_a_part_of_a_secret(length):
    """Of a long text the beginning is logged, and no part of a secret that lies where it is cut."""
    for secret in (
        "very-secret-literal",
        "http://user:very-secret@host/",
        "https://h/?Signature=very-secret",
    ):
        redaction = Redaction(["very-secret-literal"])
        for place in range(4_060, 4_110, 7):
            text = redaction.text(("a " * length)[:place] + secret + " " + "b" * length)
            assert "very" not in text
            assert len(text) < 4_200


def test_both_ends_of_a_long_traceback_are_kept():
    """Of a traceback with a long message the first and the last lines are logged, masked and bounded."""
    trace = "Traceback\n" + "http://" * 50_000 + "very-secret\n  File a.py\nValueError: very-secret"
    shown = Redaction(["very-secret"])({}, "error", {"exception": trace})["exception"]
    assert shown.startswith("Traceback\n")
    assert shown.endswith(f"ValueError: {MASK}")
    assert len(shown) < 17_000


def test_a_secret_that_begins_another_or_shares_its_beginning_is_masked():
    """Of secrets with one beginning each is found; the longest first, where one holds another."""
    redaction = Redaction({"abcdef", "abcdefgh", "abcdefxyz", "fedcba-abcdef"})
    found = redaction.text("abcdefgh, abcdefxyz; fedcba-abcdef: abcdef. abcde")
    assert f"{MASK}, {MASK}; {MASK}: {MASK}. abcde" == found


def test_a_line_is_not_searched_for_each_of_many_secrets():
    """Of the secrets of ten thousand tenants, only those are looked for of which the text has a beginning."""
    known = {f"{number:06}-of-a-tenant" for number in range(10_000)}
    redaction = Redaction(known)
    assert ["000017-of-a-tenant"] == redaction._secrets_that_begin_in("key 000017-of-a-tenant was refused")
    assert f"key {MASK} was refused" == redaction.text("key 000017-of-a-tenant was refused")


@pytest.mark.parametrize("many", [0, 1000])
@pytest.mark.parametrize(
    "line",
    [
        {"event": "request.answered", "status": 200, "ms": 1.5, "code": None, "ok": True},
        {"event": "a", "detail": "the key is hunter2-and-more here"},
        {"event": "a", "detail": {"deep": ["hunter2-and-more"]}},
        {"event": "a", "detail": ValueError("hunter2-and-more")},
        {"event": "a", "password": "short"},
        {"event": "a", "url": "redis://:word@host/"},
        {"event": "a", "detail": b"hunter2-and-more"},
        {"event": "a", "detail": "x" * 5000},
    ],
)
def test_lines_are_masked_as_each_of_their_values(line, many):
    """A line that is searched as a whole is masked where one of its values would be."""
    redaction = Redaction(["hunter2-and-more", *(f"secret-{number}" for number in range(many))])
    expected = {name: redaction.value(value, name) for name, value in line.items()}
    assert expected == redaction(None, "info", dict(line))
    assert "hunter2" not in repr(redaction(None, "info", dict(line)))
