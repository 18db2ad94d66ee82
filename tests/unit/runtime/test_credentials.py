"""Credentials come from settings and files; a changed file is read again while the process runs."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from stemline.runtime.credentials import CHECK_INTERVAL_S, CredentialFiles
from stemline.runtime.errors import UnreadableFile
from stemline.runtime.settings import BucketAccess, Credential, Settings
from tests.support.logs import captured_logs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self) -> None:
        self.now += CHECK_INTERVAL_S


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "credentials.json"
    write(path, a="secret-of-a")
    return path


def write(path: Path, **secrets: str) -> None:
    """Replace the file, as a secret store does: a new one takes its place."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([{"secret_id": name, "secret_key": key} for name, key in secrets.items()]))
    os.utime(new, ns=(0, 0))
    new.replace(path)


def key_pairs(clock: Clock, **settings):
    found = CredentialFiles.of(Settings(**settings)).key_pairs
    found._clock = clock
    return found


def keys(found) -> dict[str, str]:
    return {name: each.secret_key.get_secret_value() for name, each in found.entries().items()}


def test_settings_take_precedence_over_the_file(file):
    """A credential of the settings is used instead of one of the same SecretId in the file."""
    write(file, a="of-the-file", b="of-the-file")
    own = Credential(secret_id="a", secret_key="of-the-settings")
    found = key_pairs(Clock(), credentials_file=file, credentials=(own,))
    assert {"a": "of-the-settings", "b": "of-the-file"} == keys(found)


def test_a_changed_file_is_read_again_within_a_second(file):
    """A replaced file is noticed at the next check, also with the same size and time; not before."""
    clock = Clock()
    found = key_pairs(clock, credentials_file=file)
    assert {"a": "secret-of-a"} == keys(found)
    write(file, a="secret-of-b")
    assert {"a": "secret-of-a"} == keys(found)
    clock.advance()
    assert {"a": "secret-of-b"} == keys(found)


def test_nobody_waits_while_another_thread_reads_the_file_again(file):
    """A file of thousands of entries takes a while; requests meanwhile use the entries of before."""
    clock = Clock()
    found = key_pairs(clock, credentials_file=file)
    old = keys(found)
    write(file, b="secret-of-b")
    clock.advance()
    parse, during = found._parse, []

    def slow(content: bytes):
        with ThreadPoolExecutor(1) as other:
            during.append(other.submit(keys, found).result(60))
        return parse(content)

    found._parse = slow
    assert {"b": "secret-of-b"} == keys(found)
    assert [old] == during


def test_a_broken_file_keeps_the_old_credentials(file):
    """While a new file cannot be read, the old entries stay valid; an error without content says why."""
    clock = Clock()
    found = key_pairs(clock, credentials_file=file)
    found.entries()
    file.write_text('[{"secret_id": "a", "secret_key": ["hush-hush"]}]')
    with captured_logs() as lines:
        for _ in range(3):
            clock.advance()
            assert {"a": "secret-of-a"} == keys(found)
        file.unlink()
        clock.advance()
        assert {"a": "secret-of-a"} == keys(found)
    assert ["credentials.not_reloaded"] * 2 == [line["event"] for line in lines]
    assert ["0.secret_key: Input should be a valid string", "No such file or directory"] == [
        line["reason"] for line in lines
    ]
    assert "hush-hush" not in str(lines)
    write(file, a="change-me")
    clock.advance()
    assert {"a": "secret-of-a"} == keys(found)
    write(file, a="fixed-secret")
    clock.advance()
    assert {"a": "fixed-secret"} == keys(found)


def test_a_file_that_was_never_readable_is_an_error(tmp_path):
    """Without a single good read there are no credentials, not even empty ones; later the file may appear."""
    clock = Clock()
    path = tmp_path / "missing.json"
    found = key_pairs(clock, credentials_file=path)
    with pytest.raises(UnreadableFile, match=r"missing\.json: No such file"):
        found.entries()
    assert frozenset() == found.secrets()
    write(path, a="secret-of-a")
    with pytest.raises(UnreadableFile):
        found.entries()
    clock.advance()
    assert {"a": "secret-of-a"} == keys(found)


def test_secrets_are_those_of_the_file_and_of_the_one_before(file):
    """Rotated secrets are known with the entries; the replaced ones may still turn up in a log line."""
    clock = Clock()
    found = key_pairs(clock, credentials_file=file)
    assert {"secret-of-a"} == found.secrets()
    kept = found.secrets()
    assert kept is found.secrets()
    write(file, a="next-secret")
    clock.advance()
    assert {"secret-of-a", "next-secret"} == found.secrets()


def test_buckets_come_from_a_file_too(tmp_path):
    """The file of bucket credentials is one object by bucket name, and is read again like the other."""
    path = tmp_path / "buckets.json"
    keys_of_b = {"access_key": "b", "secret_key": "secret-of-b"}
    path.write_text(json.dumps({"b-1": keys_of_b, "*": {"access_key": "of the file", "secret_key": "other"}}))
    own = {"*": BucketAccess(access_key="of the settings", secret_key="own")}
    found = CredentialFiles.of(Settings(buckets_file=path, buckets=own)).buckets
    assert {"b-1", "*"} == set(found.entries())
    assert "of the settings" == found.entries()["*"].access_key
    assert {"secret-of-b", "other", "own"} == found.secrets()


def test_a_file_of_buckets_that_becomes_empty_is_not_taken(tmp_path):
    """Buckets do not vanish with one mistake: the entries of before stay, until a file has some again."""
    clock, path = Clock(), tmp_path / "buckets.json"
    path.write_text('{"b-1": {}}')
    found = CredentialFiles.of(Settings(buckets_file=path)).buckets
    found._clock = clock
    assert {"b-1"} == set(found.entries())
    path.write_text("{}")
    with captured_logs() as lines:
        for _ in range(2):
            clock.advance()
            assert {"b-1"} == set(found.entries())
    assert [("credentials.not_reloaded", "it has no entries any more")] == [
        (line["event"], line["reason"]) for line in lines
    ]
    path.write_text('{"b-2": {}}')
    clock.advance()
    assert {"b-2"} == set(found.entries())


def test_the_last_key_pair_of_clients_can_be_revoked(file):
    """A file of key pairs that becomes empty is taken: nobody keeps access that was taken away."""
    clock = Clock()
    found = key_pairs(clock, credentials_file=file)
    assert {"a"} == set(found.entries())
    write(file)
    clock.advance()
    assert {} == found.entries()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("a", "x"), ("b", "x"), ("a", "y")], "entries 0 and 2 have the same secret_id"),
        ([("", "x")], "0.secret_id"),
        ([("a", "")], "0.secret_key"),
        ([("a", "x"), ("b", "change-me")], "still change-me"),
    ],
)
def test_key_pairs_that_anybody_could_use_or_nobody_could_tell_apart_are_refused(tmp_path, entries, said):
    """An id twice, an empty id and an empty key are errors, in the file and in the variable."""
    pairs = [{"secret_id": name, "secret_key": key} for name, key in entries]
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(pairs))
    with pytest.raises(UnreadableFile, match=said):
        key_pairs(Clock(), credentials_file=path).entries()
    with pytest.raises(ValidationError, match=said.rpartition(".")[2]):
        Settings(credentials=pairs)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"endpoint_url": "s3.example.com:9000"}, "endpoint_url"),
        ({"endpoint_url": "http://"}, "endpoint_url"),
        ({"endpoint_url": "http://s3", "access_key": "a"}, "given together"),
        ({"endpoint_url": "http://s3", "secret_key": "very-secret"}, "given together"),
        ({"endpoint_url": "http://s3", "regoin": "eu"}, "regoin"),
        ({"access_key": "a", "secret_key": "change-me"}, "is still change-me"),
    ],
)
def test_access_to_a_bucket_that_cannot_work_is_refused(tmp_path, entry, said):
    """A wrong URL, half a key pair and a misspelt name are errors, in the file and in the variable."""
    path = tmp_path / "buckets.json"
    path.write_text(json.dumps({"b-1": entry}))
    for read in (
        lambda: Settings(buckets={"b-1": entry}),
        CredentialFiles.of(Settings(buckets_file=path)).check,
    ):
        with pytest.raises((UnreadableFile, ValidationError), match=said) as caught:
            read()
        assert "very-secret" not in str(caught.value)
