"""A reader of TensorFlow checkpoints (tensor bundles) that needs no TensorFlow.

A bundle is two files. `model.index` is a sorted string table, as LevelDB writes it: blocks of
prefix-compressed (key, value) pairs, then an index block that points to them, then a 48-byte footer. Each
value is a small protocol buffer that says where in `model.data-00000-of-00001` the tensor's raw bytes lie.
Sources of the format: `tensorflow/core/lib/io/table_format.txt` and
`tensorflow/core/protobuf/tensor_bundle.proto`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastcrc import crc32

from stemline.separation.errors import WeightsCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FOOTER_BYTES = 48
_TABLE_MAGIC = 0xDB4775248B80FB57
_TRAILER_BYTES = 5  # compression type, masked CRC-32C
_UNCOMPRESSED = 0
_CRC_MASK_DELTA = 0xA282EAD8
#: DataType of tensorflow/core/framework/types.proto to numpy, for what Spleeter's checkpoints hold.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies in the data file: offset and size are bytes."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_index(path: Path) -> dict[str, TensorEntry]:
    """Return the entries of a `model.index` file, by tensor name.

    Raises:
        WeightsCorrupt: The file is not a whole tensor-bundle index.
    """
    content = path.read_bytes()
    try:
        return {key.decode(): _parse_entry(value) for key, value in _table(content) if key}
    except (ValueError, IndexError, KeyError) as error:
        raise WeightsCorrupt(f"{path.name} is not a readable checkpoint index: {error}") from error


def read_tensors(directory: Path) -> Mapping[str, NDArray[np.float32]]:
    """Return every tensor of the bundle `model.*` in `directory`, mapped from the disk and not copied.

    Raises:
        WeightsCorrupt: An entry points outside of the data file, or the index is not readable.
    """
    import numpy as np  # noqa: PLC0415  # reading names needs no arrays

    entries = read_index(directory / "model.index")
    with (directory / "model.data-00000-of-00001").open("rb") as data:
        content = mmap.mmap(data.fileno(), 0, access=mmap.ACCESS_READ)
    tensors = {}
    for name, entry in entries.items():
        dtype = np.dtype(entry.dtype)
        count = int(np.prod(entry.shape, dtype=np.int64))
        if (
            entry.shard
            or count * dtype.itemsize != entry.size
            or not 0 <= entry.offset <= len(content) - entry.size
        ):
            raise WeightsCorrupt(f"The checkpoint's tensor {name} lies outside of its data file.")
        tensors[name] = np.frombuffer(content, dtype, count, entry.offset).reshape(entry.shape)
    return tensors


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of a string table in order."""
    footer = content[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != _TABLE_MAGIC:
        raise ValueError("no table footer")
    _, position = _handle(footer, 0)  # the meta-index block, which bundles leave empty
    index, _ = _handle(footer, position)
    for _, value in _block(content, *index):
        block, _ = _handle(value, 0)
        yield from _block(content, *block)


def _handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read a block handle (offset, size) at `position`; return it and where it ends."""
    offset, position = _varint(content, position)
    size, position = _varint(content, position)
    return (offset, size), position


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of one block after checking its CRC."""
    end = offset + size
    trailer = content[end : end + _TRAILER_BYTES]
    if len(trailer) < _TRAILER_BYTES:
        raise ValueError("a block ends outside of the file")
    if trailer[0] != _UNCOMPRESSED:
        raise ValueError("compressed blocks are not written by TensorFlow's bundles")
    if _masked_crc(content[offset : end + 1]) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a block does not match its CRC")
    restarts = int.from_bytes(content[end - 4 : end], "little")
    limit = end - 4 - 4 * restarts
    key = b""
    position = offset
    while position < limit:
        shared, position = _varint(content, position)
        unshared, position = _varint(content, position)
        length, position = _varint(content, position)
        key = key[:shared] + content[position : position + unshared]
        position += unshared
        yield key, content[position : position + length]
        position += length


def _parse_entry(message: bytes) -> TensorEntry:
    """Parse a BundleEntryProto."""
    fields = dict(_fields(message))
    shape = fields.get(2, b"")
    dimensions = [
        next((size for key, size in _fields(_message(value)) if key == 1), 0)
        for number, value in _fields(_message(shape))
        if number == 2
    ]
    return TensorEntry(
        dtype=_DTYPES[_integer(fields.get(1, 0))],
        shape=tuple(_integer(size) for size in dimensions),
        shard=_integer(fields.get(3, 0)),
        offset=_integer(fields.get(4, 0)),
        size=_integer(fields.get(5, 0)),
    )


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields (number, value) of a protocol buffer; messages stay bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position + length > len(message):
            raise ValueError("a field ends outside of its message")
        yield number, message[position : position + length]
        position += length


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")  # noqa: TRY004  # it is about the file's content
    return value


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a message was expected")  # noqa: TRY004  # it is about the file's content
    return value


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Read a base-128 number at `position`; return it and where it ends."""
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _masked_crc(content: bytes) -> int:
    """Return LevelDB's masked CRC-32C of `content`."""
    crc = crc32.iscsi(content)
    return ((crc >> 15 | crc << 17) + _CRC_MASK_DELTA) & 0xFFFFFFFF
