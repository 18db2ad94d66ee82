"""From a ``POST /batches`` to what its jobs have in common, and to its rows (docs/beyond-vendor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from stemline.jobs.batch import Row
from stemline.jobs.errors import InvalidContent, RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.separation import Track
from stemline.wire.additions import BATCH_ROW
from stemline.wire.codec import JSON, Tree, parse
from stemline.wire.elements import REQUEST, Element, Table
from stemline.wire.job import JOB_REQUEST
from stemline.wire.job_request import check_output
from stemline.wire.kinds import KEY, printable

_NAME: Final = Element("Name", printable(128), "name", default="")
_MANIFEST: Final = Element(
    "Manifest",
    Table("", Element("Object", KEY, "object", required="Manifest.Object is missing.")),
    "manifest",
)
BATCH_REQUEST = Table(
    "BatchRequest", _NAME, _MANIFEST, *(row for row in JOB_REQUEST.rows(REQUEST) if row.name != "Input")
)
"""The first line, or the whole body where a manifest has the rows."""
_OWN = Table("", _NAME, _MANIFEST)
_ROW_NAMES = frozenset(row.name for row in BATCH_ROW.elements)
_OUTPUT_NAMES = frozenset(track.value for track in Track)


def read_batch(fields: Tree) -> tuple[dict[str, Any], Tree]:
    """Return the name and the manifest of a batch, and the fields of a submission that describes its jobs.

    Raises:
        RequestRefused: An element is not valid.
    """
    own: dict[str, Any] = _OWN.read(fields)
    rest = {name: value for name, value in fields.items() if name not in {"Name", "Manifest"}}
    return own, {**rest, "Input": {"Object": "row"}}


def read_row(line: bytes, spec: JobSpec) -> Row:
    """Return a row from its line.

    Args:
        line: A JSON object.
        spec: What the jobs of the batch have in common.

    Raises:
        RequestRefused: It is not a row, or its job would write over that of another row.
    """
    fields = parse(line, JSON, root="")
    if set(fields) - _ROW_NAMES:
        # The name is not repeated: a manifest may be an object that whoever submits may not read.
        raise RequestRefused(f"A row has no elements other than {', '.join(sorted(_ROW_NAMES))}.")
    if isinstance(named := fields.get("Output"), dict) and set(named) - _OUTPUT_NAMES:
        raise RequestRefused("Output of a row names objects; the batch has their bucket.")
    given = BATCH_ROW.read(fields)
    outputs: Mapping[str, str] = given.get("outputs", {})
    row = Row(given["object"], given.get("user_data"), tuple(outputs.items()))
    for track in spec.tracks():
        if "${jobid}" not in (spec.output.name(track) or "") and track.value not in (
            fields.get("Output") or {}
        ):
            raise RequestRefused(f"The row needs Output.{track.value}, or the batch ${{jobid}} in it.")
    if outputs:
        check_output(replace(spec.output, **outputs), spec.separate)
    return row


def first_line(line: bytes) -> Tree:
    """Return the fields of the first line.

    Raises:
        InvalidContent: It is not a JSON object.
    """
    fields = parse(line, JSON)
    if "Manifest" in fields:
        raise InvalidContent("A batch whose rows follow has no Manifest.")
    return fields
