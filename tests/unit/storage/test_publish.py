"""Publishing stems: what is asked of the store, and what its answers mean."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stemline.jobs.errors import LeaseLost
from stemline.storage import ObjectHead, Upload, publish
from stemline.storage.clients import BucketClient
from stemline.storage.retry import RetryBudget

UPLOAD = Upload("ap-chongqing", "b", "out/voice", "u", "j1", 3, 10, "", ("e1",))


def refusal(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation")


class Store:
    """A client that notes what it is asked; an error is raised for it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error = error

    def _note(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        etag = f"e{len(self.asked)}"
        return {"ETag": etag, "CopyPartResult": {"ETag": etag}}

    upload_part = upload_part_copy = _note


def copied(store: Store, size: int) -> Upload | None:
    upload = Upload("ap-chongqing", "b", "out/voice", "u", "j1", 3, size, "m")
    bucket = BucketClient(store, "b")
    return publish.copy(bucket, upload, "origin", "old/voice", etag='"e"', budget=RetryBudget(0.0))


def test_a_copy_names_the_object_and_every_byte_of_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is a range of the source, which must still be the object that was looked at."""
    monkeypatch.setattr(publish, "COPY_BYTES", 100)
    store = Store()
    made = copied(store, 250)
    assert made is not None
    assert ("e1", "e2", "e3") == made.parts
    assert ["bytes=0-99", "bytes=100-199", "bytes=200-249"] == [ask["CopySourceRange"] for ask in store.asked]
    assert [1, 2, 3] == [ask["PartNumber"] for ask in store.asked]
    for ask in store.asked:
        assert ask["CopySourceIfMatch"] == '"e"'
        assert ask["CopySource"] == {"Bucket": "origin", "Key": "old/voice"}


@pytest.mark.parametrize("error", [refusal(412, "PreconditionFailed"), refusal(404, "NoSuchKey")])
def test_an_object_that_was_replaced_or_deleted_is_not_copied(error: ClientError) -> None:
    """Then the job is separated."""
    assert copied(Store(error), 10) is None


def test_the_store_is_asked_to_check_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part carries the MD5 of its bytes, so that none is stored otherwise than it was sent."""
    monkeypatch.setattr(publish, "PART_BYTES", 4)
    path = tmp_path / "stem"
    path.write_bytes(b"0123456789")
    store = Store()
    sent = publish.send(BucketClient(store, "b"), UPLOAD, path, RetryBudget(0.0))
    assert [b"0123", b"4567", b"89"] == [ask["Body"] for ask in store.asked]
    for ask in store.asked:
        assert ask["ContentMD5"] == base64.b64encode(hashlib.md5(ask["Body"]).digest()).decode()
    assert (hashlib.md5(b"0123456789").hexdigest(), ("e1", "e2", "e3")) == (sent.md5, sent.parts)


@pytest.mark.parametrize(
    ("job_id", "token", "size", "is_ours"),
    [
        ("j1", 3, 10, True),
        ("j1", 3, None, True),
        ("j1", 3, 9, False),
        ("j1", 2, 10, False),
        ("j2", 3, 10, False),
        ("", 0, 10, False),
    ],
)
def test_a_forgotten_upload_was_completed_only_if_its_object_is_there(
    job_id: str, token: int, size: int | None, is_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that knows no upload any more may have completed it: the object of this attempt shows that."""

    def forgotten(*_: Any, **__: Any) -> None:
        raise refusal(404, "NoSuchUpload")

    monkeypatch.setattr(publish, "send_expiring", forgotten)
    monkeypatch.setattr(publish, "head_object", lambda *_: ObjectHead(size, '"e"', "a/b", job_id, token))

    def complete() -> None:
        publish.complete(BucketClient(Store(), "b"), UPLOAD, expires_at=lambda: 9e9, budget=RetryBudget(0.0))

    if is_ours:
        complete()
    else:
        with pytest.raises(LeaseLost):
            complete()
