"""Uploads through the service, for clients without keys of the bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stemline.client.answers import Raw, child, children, number, text
from stemline.client.call import Call, nothing


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload through the service, and where the parts that it lacks are to be sent."""

    key: str
    id: str
    size: int
    """Bytes."""
    part_size: int
    """Bytes of each part but the last."""
    parts: Mapping[int, str] = field(default_factory=dict)
    """URLs by the numbers of the parts, from 1; not more than a hundred at a time."""


def read_upload(raw: Raw) -> Upload:
    """Return an upload of an answer."""
    return Upload(
        key=text(raw, "Key"),
        id=text(raw, "UploadId"),
        size=number(raw, "Size"),
        part_size=number(raw, "PartSize"),
        parts={number(each, "PartNumber"): text(each, "Url") for each in children(raw, "Part")},
    )


def begin_upload(name: str, size: int) -> Call[Upload]:
    """Begin an upload through the service, under a new key that ends with a name."""
    return Call(
        "POST",
        "/uploads",
        lambda raw: read_upload(child(raw, "Upload")),
        body={"Name": name, "Size": str(size)},
        repeatable=False,
    )


def resume_upload(upload: Upload) -> Call[Upload]:
    """Return the parts that an upload lacks, with new URLs."""
    return Call("PUT", "/uploads", lambda raw: read_upload(child(raw, "Upload")), params=_upload(upload))


def complete_upload(upload: Upload) -> Call[str]:
    """Make an upload an object, and return its key."""
    return Call(
        "POST", "/uploads/complete", lambda raw: text(raw, "Key"), params=_upload(upload), repeatable=False
    )


def abort_upload(upload: Upload) -> Call[None]:
    """Give an upload up."""
    return Call("DELETE", "/uploads", nothing, params=_upload(upload))


def _upload(upload: Upload) -> dict[str, str]:
    return {"key": upload.key, "uploadId": upload.id, "size": str(upload.size)}
