"""A request for a part of an object: what a store may answer, and what is done with it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPResponse

from stemline.storage.clients import BucketClient
from stemline.storage.download import Download, ObjectChanged
from stemline.storage.ranges import request_part
from stemline.storage.reading import PIECE_BYTES, PieceReader
from stemline.storage.retry import BudgetExhausted, RetryBudget
from stemline.storage.s3_errors import UnusableResponse

DATA = bytes(range(200))


class Store:
    """A client of a store that gives the answers of a list, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def get_object(self, *, Bucket: str, Key: str, **asked: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"ETag": '"e"', **answer, "Body": Body(answer["Body"])}


class Body:
    """As botocore's."""

    def __init__(self, data: bytes) -> None:
        self._raw_stream = HTTPResponse(BytesIO(data), preload_content=False)

    def close(self) -> None:
        self._raw_stream.close()


def part(body: bytes, place: str) -> dict[str, Any]:
    return {"Body": body, "ContentLength": len(body), "ContentRange": place}


@pytest.mark.parametrize(
    ("answer", "first", "size"),
    [
        (part(DATA[100:], "bytes 100-199/200"), 100, 200),
        (part(DATA[100:], "bytes 100-199/*"), 100, None),
        ({"Body": DATA, "ContentLength": 200}, 0, 200),
        ({"Body": DATA}, 0, None),
    ],
)
def test_what_a_response_has_is_reported(answer: dict[str, Any], first: int, size: int | None) -> None:
    """Where the body begins in the object and how large that is, as far as the store says so."""
    store = Store(answer)
    with request_part(BucketClient(store, "b"), "k", 100, most=50, etag='"e"') as found:
        assert (first, size, '"e"') == (found.first, found.size, found.etag)
    assert [{"Range": "bytes=100-149", "IfMatch": '"e"'}] == store.asked
    assert found.body._raw_stream.closed


@pytest.mark.parametrize(
    "place",
    ["bytes 0-199/200", "bytes 101-199/200", "bytes */200", "items 100-199/200", "", "bytes 100-199/2e2"],
)
def test_another_part_of_the_object_is_refused(place: str) -> None:
    """Bytes from another place, or from one that cannot be read, are never taken for those asked for."""
    store = Store(part(DATA, place))
    with pytest.raises(UnusableResponse), request_part(BucketClient(store, "b"), "k", 100):
        pytest.fail("the response was accepted")


def download(store: Store, path: Path) -> bytes:
    budget = RetryBudget(0.3)
    Download(BucketClient(store, "b"), "k", max_bytes=1000, budget=budget, progress=None).run(path)
    return path.read_bytes()


def test_a_download_goes_on_where_a_store_ends_its_parts(tmp_path: Path) -> None:
    """A store may answer with less than the rest of the object; the next request asks for what follows."""
    first = {"Body": DATA[:50], "ContentLength": 200}  # the connection ends early
    store = Store(first, part(DATA[50:120], "bytes 50-119/200"), part(DATA[120:], "bytes 120-199/200"))
    assert download(store, tmp_path / "in") == DATA
    assert [None, "bytes=50-", "bytes=120-"] == [each.get("Range") for each in store.asked]


def test_a_download_never_joins_parts_that_do_not_fit(tmp_path: Path) -> None:
    """A store that resumes at another byte than was asked for is asked again, and then given up."""
    store = Store({"Body": DATA[:50], "ContentLength": 200}, part(DATA[60:], "bytes 60-199/200"))
    with pytest.raises(BudgetExhausted):
        download(store, tmp_path / "in")
    assert {"bytes=50-"} == {each["Range"] for each in store.asked[1:]}


def test_a_download_never_joins_parts_of_two_objects(tmp_path: Path) -> None:
    """From a store that does not know If-Match, a replaced object is downloaded from its beginning."""
    first = {"Body": b"old" * 20, "ContentLength": 200}
    store = Store(
        first,
        part(DATA[60:], "bytes 60-199/200") | {"ETag": '"f"'},
        {"Body": DATA, "ContentLength": 200, "ETag": '"f"'},
    )
    assert download(store, tmp_path / "in") == DATA
    assert [None, "bytes=60-", None] == [each.get("Range") for each in store.asked]


def test_a_reader_of_pieces_never_joins_those_of_two_objects() -> None:
    """The lines of a manifest that was replaced are refused, whatever the store knows of conditions."""
    pieces = [b"o" * PIECE_BYTES, b"n" * 10]
    size = PIECE_BYTES + 10
    store = Store(
        part(pieces[0], f"bytes 0-{PIECE_BYTES - 1}/{size}"),
        part(pieces[1], f"bytes {PIECE_BYTES}-{size - 1}/{size}") | {"ETag": '"f"'},
    )
    reader = PieceReader(BucketClient(store, "b"), "k", max_bytes=1 << 20, within_s=60, retry_budget_s=0)
    assert pieces[0] == reader.next_piece()
    with pytest.raises(ObjectChanged):
        reader.next_piece()
