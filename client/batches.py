"""Batches: up to 100,000 jobs that are submitted, watched and stopped as one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from stemline.client.answers import Raw, child, children, number, text, time_of
from stemline.client.call import PAGE, Call, Changed, changed, segment
from stemline.client.names import is_utf8
from stemline.client.submission import Submission, elements_of

LINES: Final = "application/x-ndjson"
_OVER: Final = frozenset({"Done", "Cancel"})


@dataclass(frozen=True, slots=True)
class Row:
    """What one job of a batch has of its own."""

    source: str
    """Key of the object to separate."""
    user_data: str = ""
    """That of the batch if empty."""
    output: Mapping[str, str] = field(default_factory=dict)
    """Keys of stems by their names, where they are not those of the batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at one moment."""

    id: str
    name: str
    state: str
    """``Active``, ``Paused``, ``Done`` or ``Cancel``."""
    rows: int
    waiting: int = 0
    """Rows that wait, those that are not jobs yet among them."""
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    progress: int = 0
    """Percent of the rows that have ended."""
    created: datetime | None = None
    ended: datetime | None = None
    raw: Raw = field(default_factory=dict, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether every row has ended."""
        return self.state in _OVER and not self.waiting and not self.running


def read_batch(raw: Raw) -> Batch:
    """Return a batch of an answer."""
    return Batch(
        id=text(raw, "BatchId"),
        name=text(raw, "Name"),
        state=text(raw, "State"),
        rows=number(raw, "RowCount"),
        waiting=number(raw, "WaitingCount"),
        running=number(raw, "RunningCount"),
        succeeded=number(raw, "SuccessCount"),
        failed=number(raw, "FailedCount"),
        cancelled=number(raw, "CancelCount"),
        progress=number(raw, "Progress"),
        created=time_of(raw, "CreationTime"),
        ended=time_of(raw, "EndTime"),
        raw=raw,
    )


def create_batch(
    rows: Iterable[Row | str],
    common: Submission,
    bucket: str,
    region: str,
    *,
    name: str = "",
    manifest: str = "",
    key: str = "",
) -> Call[Batch]:
    """Create a batch.

    Args:
        rows: Its jobs, each with the key of its source at least.
        common: What all jobs have in common; its source is not used.
        bucket: Bucket of the stems, unless the submission names one.
        region: Region of that bucket.
        name: Up to 128 characters, for people.
        manifest: Key of an object whose lines are the rows, instead of ``rows``.
        key: The Idempotency-Key; a new one if empty.

    Raises:
        ValueError: There are both rows and a manifest, or neither; or the name of a stem is unknown.
    """
    lines = list(map(_line, rows))
    if bool(lines) == bool(manifest):
        raise ValueError("a batch has either rows or a manifest")
    if common.audio_track:
        raise ValueError("the jobs of a batch take the audio track that their files mark")
    fields = {each: value for each, value in common.body(bucket, region).items() if each != "Input"}
    fields |= {"Name": name} if name else {}
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    if manifest:
        body = {**fields, "Manifest": {"Object": manifest}}
        return Call("POST", "/batches", _batch, body=body, headers=headers)
    parts = [json.dumps(each, ensure_ascii=False) for each in (fields, *lines)]
    for row, part in enumerate(parts):
        if not is_utf8(part):
            what = f"row {row}" if row else "the batch"
            raise ValueError(f"{what} has a text that is not UTF-8: no request can hold it")
    content = "\n".join(parts)
    return Call("POST", "/batches", _batch, content=content.encode(), content_type=LINES, headers=headers)


def get_batch(batch_id: str) -> Call[Batch]:
    """Return a batch."""
    return Call("GET", f"/batches/{segment(batch_id)}", _batch)


def batches(*, page_number: int = 1) -> Call[tuple[list[Batch], int]]:
    """Return one page of batches, latest first, and the number of all."""
    return Call(
        "GET",
        "/batches",
        lambda raw: (list(map(read_batch, children(raw, "BatchList"))), number(raw, "TotalCount")),
        params={"pageNumber": str(page_number), "pageSize": str(PAGE)},
    )


def pause_batch(batch_id: str) -> Call[Batch]:
    """Let none of its jobs start."""
    return _change(batch_id, "pause")


def resume_batch(batch_id: str) -> Call[Batch]:
    """Let its jobs start again."""
    return _change(batch_id, "resume")


def cancel_batch(batch_id: str) -> Call[Batch]:
    """Cancel every row that has not ended."""
    return _change(batch_id, "cancel")


def retry_batch(batch_id: str) -> Call[Changed]:
    """Retry failed rows; the answer may say that some are left."""
    return Call("POST", f"/batches/{segment(batch_id)}/retry", changed)


def _change(batch_id: str, what: str) -> Call[Batch]:
    return Call("POST", f"/batches/{segment(batch_id)}/{what}", _batch)


def _batch(raw: Raw) -> Batch:
    return read_batch(child(raw, "Batch"))


def _line(row: Row | str) -> dict[str, Any]:
    """Return a row as on the wire."""
    given = Row(row) if isinstance(row, str) else row
    line = {"Object": given.source, "UserData": given.user_data, "Output": elements_of(given.output)}
    return {name: value for name, value in line.items() if value}
