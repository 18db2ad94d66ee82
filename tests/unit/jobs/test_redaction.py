from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from pydantic import SecretStr

from stemline.runtime.logging import configure
from stemline.runtime.redaction import MASK, Redaction, secrets_of
from stemline.runtime.settings import BucketAccess, Credential, Settings


@pytest.fixture
def lines():
    """Configures logging into a buffer; afterwards everything is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()

    def read(**settings):
        configure(Settings(**settings), stream=out)
        return lambda: [json.loads(line) for line in out.getvalue().splitlines()]

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


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
        "signed with whsec_hunter2-and-more",
        "Value error [type=value_error, input_value={'secret_key': 'hunter2-and-more'}, input_type=dict]",
    ],
)
def test_secrets_are_known_by_their_shape(text):
    """A URL's password, a signed query, a signature and a refused value are taken out of any text."""
    cleaned = Redaction().text(text)
    assert "hunter2" not in cleaned
    assert MASK in cleaned


@pytest.mark.parametrize(
    "name", ["secret_key", "Authorization", "user_data", "UserData", "body", "password", "webhook_secrets"]
)
def test_secrets_are_known_by_their_names(name):
    """What a key calls a secret, a body or user data is not told, at any depth."""
    assert {"a": [{name: MASK}]} == Redaction()({}, "info", {"a": [{name: "anything"}]})


def test_what_an_operator_needs_stays():
    """Ids, numbers, places and the SecretId are left alone; bytes are counted, not shown."""
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


def test_secrets_of_the_settings_are_known_by_heart(tmp_path):
    """Every secret of the settings, nested or in a file, is found; a URL's is its password alone."""
    file = tmp_path / "credentials.json"
    file.write_text(
        json.dumps([{"secret_id": "public-id", "secret_key": "from-a-file", "token": "session-1"}])
    )
    settings = Settings(
        redis_url=SecretStr("redis://:valkey-password@127.0.0.1/0"),
        credentials=(Credential(secret_id="id", secret_key=SecretStr("key-of-id")),),
        buckets={"*": BucketAccess(secret_key=SecretStr("key-of-s3"))},
        webhook_secrets=(SecretStr("whsec_abcdef"),),
        credentials_file=file,
    )
    expected = {
        "valkey-password",
        "key-of-id",
        "key-of-s3",
        "whsec_abcdef",
        "from-a-file",
        "session-1",
    }
    assert expected == {secret for secret in secrets_of(settings) if secret}


def test_one_form_for_all(lines):
    """Lines of ours, of libraries, of warnings and of exceptions are one JSON object each."""
    read = lines(redis_url=SecretStr("redis://:valkey-password@127.0.0.1/0"))
    with structlog.contextvars.bound_contextvars(job="j1"):
        structlog.get_logger().info("step.done", took_s=1)
        logging.getLogger("celery.worker").warning("lost %s", "redis://:valkey-password@127.0.0.1/0")
        try:
            int("valkey-password")
        except ValueError:
            structlog.get_logger().exception("step.crashed")
    ours, theirs, crash = read()
    assert ("step.done", "info", "j1", 1) == (ours["event"], ours["level"], ours["job"], ours["took_s"])
    assert ours["timestamp"].endswith("Z")
    assert (f"lost redis://{MASK}@127.0.0.1/0", "warning", "j1") == (
        theirs["event"],
        theirs["level"],
        theirs["job"],
    )
    assert "celery.worker" == theirs["logger"]
    assert f"base 10: '{MASK}'" in crash["exception"]


def test_the_level_holds_for_all(lines):
    """Below the level of the settings neither our lines nor those of libraries are written."""
    read = lines(log_level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("celery.worker").info("quiet")
    structlog.get_logger().warning("loud")
    assert ["loud"] == [line["event"] for line in read()]


def test_requests_are_never_spelled_out(lines):
    """Even at debug the libraries that log whole requests and signatures are quiet below warning."""
    read = lines(log_level="debug")
    for name in ("botocore.auth", "urllib3.connectionpool", "s3transfer", "amqp"):
        logging.getLogger(name).debug("Signature: %s", "0123")
    assert [] == read()
