"""A request for a part of an object: what a store may answer, and what is done with it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from stemline.storage.clients import BucketClient
from stemline.storage.download import MAX_RESTARTS, Download, ObjectChanged
from stemline.storage.ranges import ObjectReplaced, request_part
from stemline.storage.reading import PIECE_BYTES, PieceReader
from stemline.storage.retry import BudgetExhausted, RetryBudget
from stemline.storage.s3_errors import UnusableResponse

DATA = bytes(range(200))


class Store:
    """A client of a store that gives the answers of a list, the last one again and again.

    An answer without a body is a refusal.
    """

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def get_object(self, *, Bucket: str, Key: str, **asked: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if "Body" not in answer:
            raise ClientError(answer, "GetObject")
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
    ("answer", "place", "size"),
    [
        (part(DATA[100:], "bytes 100-199/200"), (100, 200), 200),
        (part(DATA[100:150], "bytes 100-149/200"), (100, 150), 200),
        (part(DATA[100:], "bytes 100-199/*"), (100, 200), None),
        ({"Body": DATA, "ContentLength": 200}, (0, 200), 200),
        ({"Body": DATA}, (0, None), None),
    ],
)
def test_what_a_response_has_is_reported(
    answer: dict[str, Any], place: tuple[int, int | None], size: int | None
) -> None:
    """Where the body begins and ends in the object and how large that is, as far as the store says so."""
    store = Store(answer)
    with request_part(BucketClient(store, "b"), "k", 100, most=50, etag='"e"') as found:
        assert (*place, size, '"e"') == (found.first, found.end, found.size, found.etag)
    assert [{"Range": "bytes=100-149", "IfMatch": '"e"'}] == store.asked
    assert found.body._raw_stream.closed


@pytest.mark.parametrize(
    "place",
    [
        "bytes 0-99/200",
        "bytes 101-199/200",
        "bytes 100-99/200",
        "bytes 100-199/199",
        "bytes 100-198/200",
        "bytes 100-200/201",
        "bytes */200",
        "items 100-199/200",
        "",
        "bytes 100-199/2e2",
    ],
)
def test_another_part_of_the_object_is_refused(place: str) -> None:
    """Bytes from another place, or from one that cannot be read, are never taken for those asked for."""
    store = Store(part(DATA[100:], place))
    with pytest.raises(UnusableResponse), request_part(BucketClient(store, "b"), "k", 100):
        pytest.fail("the response was accepted")


def test_a_part_that_names_no_place_is_refused() -> None:
    """A 206 without Content-Range may begin anywhere; it is not the whole object."""
    partial = {"ResponseMetadata": {"HTTPStatusCode": 206}}
    store = Store({"Body": DATA[100:], "ContentLength": 100, **partial})
    with pytest.raises(UnusableResponse), request_part(BucketClient(store, "b"), "k", 100):
        pytest.fail("the response was accepted")


def test_no_object_has_fewer_bytes_than_none() -> None:
    """A negative length is the store's fault; nothing is cut or compared by it."""
    bucket = BucketClient(Store({"Body": DATA, "ContentLength": -5}), "b")
    with pytest.raises(UnusableResponse), request_part(bucket, "k"):
        pytest.fail("the response was accepted")


def test_an_object_of_another_size_is_another_one() -> None:
    """A store whose ETags stay the same still shows by its sizes that the object was replaced."""
    answers = [part(DATA[100:], "bytes 100-199/200"), {"Body": DATA, "ContentLength": 200}]
    for answer in answers:
        bucket = BucketClient(Store(answer), "b")
        with request_part(bucket, "k", 100, etag='"e"', size=200) as found:
            assert 200 == found.size
        with pytest.raises(ObjectReplaced), request_part(bucket, "k", 100, etag='"e"', size=300):
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


BROKEN: dict[str, Any] = {"Body": DATA[:50], "ContentLength": 200}
"""A quarter of the object: the connection ends early."""


def test_a_store_that_ignores_ranges_and_breaks_off_is_tried_again(tmp_path: Path) -> None:
    """It is the store's fault and not that of an object that changes, however often it happens."""
    longer = {"Body": DATA[:60], "ContentLength": 200}
    with pytest.raises(BudgetExhausted):
        download(Store(BROKEN, longer, BROKEN, longer, BROKEN, longer, BROKEN), tmp_path / "in")
    whole = {"Body": DATA, "ContentLength": 200}
    store = Store(BROKEN, *(BROKEN | {"Body": DATA[: 60 + n]} for n in range(MAX_RESTARTS + 2)), whole)
    assert download(store, tmp_path / "in") == DATA
    assert [] == store.answers[1:]


def test_a_store_that_ignores_ranges_and_does_not_say_how_much_comes(tmp_path: Path) -> None:
    """How large the object is was said before; a chunked answer of fewer bytes is not the whole of it."""
    store = Store(BROKEN, {"Body": DATA[:90]}, {"Body": DATA})
    assert download(store, tmp_path / "in") == DATA
    with pytest.raises(ObjectChanged):
        download(Store(BROKEN, *[{"Body": DATA + b"more"}, BROKEN] * (MAX_RESTARTS + 1)), tmp_path / "in")


def test_a_download_of_an_object_that_grew_begins_again(tmp_path: Path) -> None:
    """With the ETag of the first part, but another size, the rest is one of another object."""
    grown = b"new" * 100
    store = Store(BROKEN, part(grown[50:], "bytes 50-299/300"), {"Body": grown, "ContentLength": 300})
    assert download(store, tmp_path / "in") == grown
    assert [None, "bytes=50-", None] == [each.get("Range") for each in store.asked]


def test_a_download_does_not_end_with_a_short_part(tmp_path: Path) -> None:
    """A part that names no size of the object is followed by others until the object is complete."""
    rest = part(DATA[120:], "bytes 120-199/*")
    store = Store(BROKEN, part(DATA[50:120], "bytes 50-119/*"), rest)
    assert download(store, tmp_path / "in") == DATA
    assert [None, "bytes=50-", "bytes=120-"] == [each.get("Range") for each in store.asked]


def test_a_download_of_an_unknown_size_ends_where_nothing_follows(tmp_path: Path) -> None:
    """Where no answer says how large the object is, the store shows it by refusing to send more."""
    first = part(DATA[:50], "bytes 0-49/*")
    for said in ({}, {"content-range": "bytes */200"}):
        end = {"ResponseMetadata": {"HTTPStatusCode": 416, "HTTPHeaders": said}}
        assert download(Store(first, part(DATA[50:], "bytes 50-199/*"), end), tmp_path / "in") == DATA
    shorter = {"ResponseMetadata": {"HTTPStatusCode": 416, "HTTPHeaders": {"content-range": "bytes */40"}}}
    whole = {"Body": DATA[:40], "ContentLength": 40}
    assert download(Store(first, shorter, whole), tmp_path / "in") == DATA[:40]


def test_a_chunked_answer_that_is_longer_than_it_says_is_the_stores_fault(tmp_path: Path) -> None:
    """Nothing of it is taken: neither of a part nor of a whole object is it known which bytes are its own."""
    longer_part = {"Body": DATA[50:100] + b"x" * 9, "ContentRange": "bytes 50-99/200"}
    longer = {"Body": DATA, "ContentLength": 150}
    whole = {"Body": DATA, "ContentLength": 200}
    store = Store(BROKEN, longer_part, whole)
    assert download(store, tmp_path / "in") == DATA
    assert [None, "bytes=50-", None] == [each.get("Range") for each in store.asked]
    assert download(Store(longer, whole), tmp_path / "in") == DATA
    with pytest.raises(BudgetExhausted):
        download(Store(longer), tmp_path / "in")


def pieces(store: Store) -> list[bytes]:
    bucket = BucketClient(store, "b")
    reader = PieceReader(bucket, "k", max_bytes=1 << 20, within_s=60, retry_budget_s=0.3)
    found: list[bytes] = []
    while not reader.is_complete:
        found.append(reader.next_piece())
    return found


def test_a_reader_of_pieces_does_not_end_with_a_short_one() -> None:
    """A piece shorter than was asked for is the last one only if nothing follows."""
    end = {"ResponseMetadata": {"HTTPStatusCode": 416}}
    parts = [DATA[:50], DATA[50:120], DATA[120:]]
    for size, last in (("200", ()), ("*", (end,))):
        places = [f"bytes 0-49/{size}", f"bytes 50-119/{size}", f"bytes 120-199/{size}"]
        store = Store(*map(part, parts, places), *last)
        assert DATA == b"".join(pieces(store))
        assert 3 + len(last) == len(store.asked)


def test_a_reader_of_pieces_notices_an_object_of_another_size() -> None:
    """The same ETag with another size is a replaced object."""
    store = Store(part(DATA[:50], "bytes 0-49/200"), part(DATA[50:], "bytes 50-199/300"))
    with pytest.raises(ObjectChanged):
        pieces(store)


def test_a_reader_of_pieces_never_joins_those_of_two_objects() -> None:
    """The lines of a manifest that was replaced are refused, whatever the store knows of conditions."""
    both = [b"o" * PIECE_BYTES, b"n" * 10]
    size = PIECE_BYTES + 10
    store = Store(
        part(both[0], f"bytes 0-{PIECE_BYTES - 1}/{size}"),
        part(both[1], f"bytes {PIECE_BYTES}-{size - 1}/{size}") | {"ETag": '"f"'},
    )
    reader = PieceReader(BucketClient(store, "b"), "k", max_bytes=1 << 20, within_s=60, retry_budget_s=0)
    assert both[0] == reader.next_piece()
    with pytest.raises(ObjectChanged):
        reader.next_piece()
