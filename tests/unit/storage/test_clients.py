"""Clients of many buckets: their file is read again while a worker runs, and memory stays bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemline.runtime import credentials
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.settings import Settings
from stemline.storage import clients
from stemline.storage.clients import BucketNotConfigured, Clients, NoBucketName

REGION = "ap-chongqing"


def write(file: Path, keys: dict[str, str]) -> None:
    """Replace a file of buckets as an operator should, by a rename."""
    new = file.with_suffix(".new")
    entries = {
        name: {"endpoint_url": "http://s3", "access_key": key, "secret_key": key}
        for name, key in keys.items()
    }
    new.write_text(json.dumps(entries))
    new.replace(file)


def made_from(file: Path) -> Clients:
    return Clients(CredentialFiles.of(Settings(buckets_file=file)).buckets, [REGION])


def key_of(found: Clients, bucket: str) -> str:
    client = found.for_bucket(REGION, bucket).s3
    return str(client._request_signer._credentials.access_key)


def test_a_thousand_buckets_are_read_from_a_file(tmp_path: Path) -> None:
    """Each of 1,000 tenants has its own key pair, which no variable could hold."""
    file = tmp_path / "buckets.json"
    write(file, {f"b{i}-1250000000": f"key-{i}" + "x" * 200 for i in range(1000)})
    assert file.stat().st_size > 128 << 10
    found = made_from(file)
    assert f"key-7{'x' * 200}" == key_of(found, "b7-1250000000")
    assert f"key-999{'x' * 200}" == key_of(found, "b999-1250000000")


def test_a_changed_file_counts_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new bucket, a rotated key and a removed bucket are known to clients that exist already."""
    monkeypatch.setattr(credentials, "CHECK_INTERVAL_S", 0.0)
    file = tmp_path / "buckets.json"
    write(file, {"old-1250000000": "key-1", "gone-1250000000": "key-2"})
    found = made_from(file)
    assert "key-1" == key_of(found, "old-1250000000")
    with pytest.raises(BucketNotConfigured):
        found.for_bucket(REGION, "new-1250000000")
    write(file, {"old-1250000000": "key-3", "new-1250000000": "key-4"})
    assert ("key-3", "key-4") == (key_of(found, "old-1250000000"), key_of(found, "new-1250000000"))
    with pytest.raises(BucketNotConfigured):
        found.for_bucket(REGION, "gone-1250000000")


def test_only_the_latest_clients_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more key pairs than clients the least recently used is made anew; the others are shared."""
    monkeypatch.setattr(clients, "MAX_CLIENTS", 2)
    file = tmp_path / "buckets.json"
    write(file, {name: name for name in ("a", "b", "c")})
    found = made_from(file)
    first, second = (found.for_bucket(REGION, name).s3 for name in ("a", "b"))
    assert first is found.for_bucket(REGION, "a").s3
    found.for_bucket(REGION, "c")
    assert first is found.for_bucket(REGION, "a").s3
    assert second is not found.for_bucket(REGION, "b").s3


def test_only_names_of_buckets_are_reached_through_the_entry_for_all(tmp_path: Path) -> None:
    """A name that no entry gives and that is no bucket's, such as an ARN, gets no client."""
    file = tmp_path / "buckets.json"
    own = "arn:aws:s3:us-west-2:123456789012:accesspoint/own"
    write(file, {"*": "key-1", own: "key-2"})
    found = made_from(file)
    for name in ("arn:aws:s3::123456789012:accesspoint/m.mrap", "a/b", "a:b", "x--x-s3", "a.b.c", ""):
        with pytest.raises(NoBucketName):
            found.for_bucket(REGION, name)
    assert "key-1" == key_of(found, "media-1250000000")
    assert "key-2" == key_of(found, own)  # the operator's own name
