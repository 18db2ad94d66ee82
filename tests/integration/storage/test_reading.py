"""Objects that are read in pieces, from a real store and from one that ignores ranges."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPResponse

from stemline.jobs.errors import SourceDownloadFailed, SourceNotFound, SourceTooLarge, SourceUnavailable
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, TransferCancelled, reading
from stemline.storage.clients import BucketClient
from stemline.storage.reading import PieceReader
from stemline.testing.s3_proxy import Fault, FaultyProxy
from tests.conftest import S3

PIECE = 1000
SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small objects have several pieces."""
    monkeypatch.setattr(reading, "PIECE_BYTES", PIECE)


@pytest.fixture
def proxy(s3: S3) -> Iterator[FaultyProxy]:
    """A proxy before the real server, without faults until a test plans some."""
    proxy = FaultyProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture
def buckets(s3: S3, proxy: FaultyProxy) -> Buckets:
    """Buckets behind the proxy, with a retry budget for a busy machine."""
    return behind(s3, proxy, budget_s=60)


def behind(s3: S3, proxy: FaultyProxy, *, budget_s: float) -> Buckets:
    access = BucketAccess(endpoint_url=proxy.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    return Buckets(Settings(buckets={s3.bucket: access}, storage_patience_s=budget_s))


def read(buckets: Buckets, s3: S3, key: str = "in", **options: Any) -> Iterator[bytes]:
    given = {"max_bytes": 10_000, "within_s": 600.0} | options
    return buckets.pieces(Tenant(s3.bucket, s3.region), key, **given)


def test_an_object_is_read_whole(s3: S3, buckets: Buckets, tmp_path: Path, monkeypatch: Any) -> None:
    """Objects of every size around a piece arrive whole, in pieces, and no file is made of them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for size in SIZES:
        data = os.urandom(size)
        s3.client.put_object(Bucket=s3.bucket, Key="in", Body=data)
        found = list(read(buckets, s3))
        assert data == b"".join(found)
        assert max(map(len, found)) <= PIECE
        assert [] == list(tmp_path.iterdir())


def test_a_broken_piece_is_read_again(s3: S3, proxy: FaultyProxy, buckets: Buckets) -> None:
    """A connection that breaks within a piece costs that piece alone; a store that is down is an error."""
    data = os.urandom(3 * PIECE)
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=data)
    proxy.plan = lambda method, path: Fault(cut_after=500) if len(proxy.seen) == 2 else None
    assert data == b"".join(read(buckets, s3))
    assert 4 == len(proxy.seen)
    proxy.plan = lambda method, path: Fault(status=500)
    with pytest.raises(SourceUnavailable):
        next(read(behind(s3, proxy, budget_s=0.1), s3))


def test_what_is_no_whole_object_is_refused(s3: S3, buckets: Buckets) -> None:
    """A missing, a too large and a replaced object, and one that takes too long, have errors of their own."""
    with pytest.raises(SourceNotFound):
        next(read(buckets, s3, "none"))
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=b"o" * 3 * PIECE)
    with pytest.raises(SourceTooLarge):
        next(read(buckets, s3, max_bytes=3 * PIECE - 1))
    with pytest.raises(TransferCancelled):
        list(read(buckets, s3, within_s=-1.0))
    found = read(buckets, s3)
    next(found)
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=b"n" * 3 * PIECE)
    with pytest.raises(SourceDownloadFailed):
        next(found)


class IgnoresRanges:
    """A client of a store that sends the whole object whatever is asked for."""

    def __init__(self, data: bytes, *, says_length: bool) -> None:
        self.data, self.says_length = data, says_length

    def get_object(self, **_: Any) -> dict[str, Any]:
        raw = HTTPResponse(BytesIO(self.data), preload_content=False)
        length = {"ContentLength": len(self.data)} if self.says_length else {}
        return {"Body": Body(raw), "ETag": '"e"', **length}


class Body:
    """As botocore's."""

    def __init__(self, raw: HTTPResponse) -> None:
        self._raw_stream = raw

    def close(self) -> None:
        self._raw_stream.close()


@pytest.mark.parametrize("says_length", [False, True])
def test_a_store_that_ignores_ranges_is_read_too(says_length: bool) -> None:
    """The bytes before a piece are thrown away; the limit holds where the length is not known before."""
    for size in SIZES:
        data = os.urandom(size)
        client = BucketClient(IgnoresRanges(data, says_length=says_length), "b")
        reader = PieceReader(client, "k", max_bytes=size, within_s=60, retry_budget_s=0)
        found = b""
        while not reader.is_complete:
            found += reader.next_piece()
        assert data == found
    with pytest.raises(SourceTooLarge):
        PieceReader(client, "k", max_bytes=PIECE - 1, within_s=60, retry_budget_s=0).next_piece()
