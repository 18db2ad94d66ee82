"""Whatever element of whatever request a client makes long, it is refused before it is stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.tenant import is_bucket_name
from stemline.wire import additions, batch_request, job, queue_request, resources, uploads
from stemline.wire.elements import REQUEST, Element, Table
from stemline.wire.kinds import MAX_TEXT_CHARS, Kind

MODULES = (additions, batch_request, job, queue_request, resources, uploads)
LENGTH = 100_000
LONG = (
    "x" * LENGTH,
    "7" * LENGTH,
    "a1-" * LENGTH,
    "en" + "-ab" * LENGTH,
    "媒" * LENGTH,
    "TaskFinish," * LENGTH,
    "no" + " " * LENGTH + "x",
    "http://h/" + "x" * LENGTH,
    "in/" * LENGTH + "x",
    "2026-03-01T10:20:30." + "1" * LENGTH,
    "x-" + "1" * LENGTH,
)
NO_BUCKETS = (
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/evil",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01234567890123456/accesspoint/evil",
    "arn:aws-cn:s3-object-lambda:cn-north-1:123456789012:accesspoint:evil",
    "x--usw2-az1--x-s3",
    "mine--table-s3",
    "evil--ol-s3",
    "evil-123abc-s3alias",
    "evil.attacker.example",
    "127.0.0.1",
    "a..b",
    "a b",
    "../x",
    "a/b",
    "user@host",
    "a%2fb",
    "-a-1",
    "Media-1250000000",
    "me",
    "m" * 64,
    "media-1250000000\n",
    "m\xe9dia-1250000000",
)


def rows_of(table: Table) -> Iterator[Element]:
    for row in table.rows(REQUEST):
        if isinstance(row.kind, Table):
            yield from rows_of(row.kind)
        elif row.source:
            yield row


def read_elements() -> dict[str, Element]:
    """Every element that is read from a request, by a name for the test."""
    tables = [table for module in MODULES for table in vars(module).values() if isinstance(table, Table)]
    found = {f"{table.name}.{row.name}.{id(row.kind)}": row for table in tables for row in rows_of(table)}
    return {name.rpartition(".")[0]: row for name, row in found.items()}


ELEMENTS = read_elements()


def test_elements_are_found() -> None:
    """The search finds elements of each container that a client writes."""
    names = {row.name for row in ELEMENTS.values()}
    assert {"Bucket", "AudioTrack", "QueueId", "MqRegion", "UserData", "Url", "Name", "ContentType"} <= names


@pytest.mark.parametrize("name", sorted(ELEMENTS))
def test_a_long_text_is_refused(name: str) -> None:
    """No element takes a text of 100,000 characters, of whatever form, and no refusal repeats it."""
    row = ELEMENTS[name]
    assert isinstance(row.kind, Kind)
    assert row.kind.most <= MAX_TEXT_CHARS
    for text in LONG:
        with pytest.raises(RequestRefused) as refused:
            row.read({row.name: text}, {})
        assert len(refused.value.message) < 500


@pytest.mark.parametrize("name", NO_BUCKETS)
def test_what_names_no_bucket_is_refused(name: str) -> None:
    """No ARN, special name of S3 or path is a bucket, so no request goes to the servers it names."""
    assert not is_bucket_name(name)
    if name.strip() == name:
        with pytest.raises(RequestRefused, match="Bucket must be the name of a bucket"):
            job.OUTPUT.read({"Region": "r", "Bucket": name})


@pytest.mark.parametrize("name", ["media-1250000000", "b-1", "stems", "m" * 63])
def test_names_of_buckets_are_read(name: str) -> None:
    """The vendor's names with an APPID and those of S3 without dots are accepted."""
    assert name == job.OUTPUT.read({"Region": "r", "Bucket": name}).bucket
