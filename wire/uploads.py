"""Elements of uploads of sources, which the vendor does not have (docs/api.md, "Uploads")."""

from __future__ import annotations

from stemline.wire.elements import Element, Table, parameter
from stemline.wire.kinds import KEY, TEXT, Kind, integer, matching
from stemline.wire.letters import is_writable

MAX_NAME_BYTES = 200


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 15 or int(text) < 1:
        raise ValueError(text)
    return int(text)


def _file_name(text: str) -> str:
    if not all(map(is_writable, text)) or {"/", "\\"} & set(text) or text in {".", ".."}:
        raise ValueError(text)
    if not 1 <= len(text.encode()) <= MAX_NAME_BYTES:
        raise ValueError(text)
    return text


_NAME = f"{{name}} must be a file name of at most {MAX_NAME_BYTES} bytes, without folders."
_FILE = Kind(_file_name, _NAME, {"type": "string", "minLength": 1})
_MEDIA = "^[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,60}$"
BYTES = Kind(
    _size,
    "{name} must be a number of bytes, from 1.",
    {"type": "string", "pattern": "^[0-9]+$"},
    parameter={"type": "integer", "minimum": 1},
)
_ID = matching("^[!-~]{1,1024}$", "{name} is not one that this service gave.", schema={"type": "string"})

UPLOAD_REQUEST = Table(
    "UploadRequest",
    Element("Name", _FILE, "name", required="Name is missing."),
    Element("Size", BYTES, "size", required="Size is missing."),
    Element(
        "ContentType",
        matching(_MEDIA, "{name} must be a media type such as audio/mpeg.", schema={"type": "string"}),
        "content_type",
        default="",
    ),
)
"""``Request`` of a new upload."""
UPLOAD = Table(
    "Upload",
    Element("Key", TEXT, "upload.key"),
    Element("UploadId", TEXT, "upload.upload_id"),
    Element("Size", BYTES, "upload.size"),
    Element("PartSize", BYTES, "upload.part_bytes"),
    Element("PartCount", integer(), "upload.part_count"),
    Element("ReceivedCount", integer(), "received"),
    Element(
        "Part",
        Table("", Element("PartNumber", integer(), "number"), Element("Url", TEXT, "url")),
        "parts",
        repeated=True,
    ),
)
"""An upload and the parts that it lacks, with the URL that each may be sent to."""
UPLOADS = Table(
    "",
    parameter("key", KEY, "key", "Key of the upload's answer.", required=True),
    parameter("uploadId", _ID, "upload_id", "UploadId of the upload's answer.", required=True),
    parameter("size", BYTES, "size", "Size of the whole object, bytes.", required=True),
)
"""Query parameters that name an upload."""
