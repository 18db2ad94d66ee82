"""Reads TensorFlow checkpoints (tensor bundles) without TensorFlow.

A bundle is two files. `model.index` is a sorted string table, as LevelDB writes it: blocks of
prefix-compressed (key, value) pairs, then an index block that points to them, then a 48-byte footer. Each
value is a small protocol buffer with the position of the tensor's raw bytes in `model.data-00000-of-00001`.
The format is described in `tensorflow/core/lib/io/table_format.txt` and
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
    """The position of one tensor in the data file; offset and size are in bytes."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_index(path: Path) -> dict[str, TensorEntry]:
    """Return the entries of a `model.index` file by the tensors' names.

    Raises:
        WeightsCorrupt: The file is not a complete tensor-bundle index.
    """
    content = path.read_bytes()
    try:
        return {key.decode(): _parse_entry(value) for key, value in _table(content) if key}
    except (ValueError, IndexError, KeyError) as error:
        raise WeightsCorrupt(f"{path.name} is not a readable checkpoint index: {error}") from error


def read_tensors(directory: Path) -> Mapping[str, NDArray[np.float32]]:
    """Return every tensor of the bundle `model.*` in `directory`, memory-mapped and not copied.

    Raises:
        WeightsCorrupt: An entry points outside the data file, or the index is not readable.
    """
    import numpy as np  # noqa: PLC0415  # not needed to read the index

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
            raise WeightsCorrupt(f"The checkpoint's tensor {name} is outside the data file.")
        tensors[name] = np.frombuffer(content, dtype, count, entry.offset).reshape(entry.shape)
    return tensors


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a string table in order."""
    footer = content[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != _TABLE_MAGIC:
        raise ValueError("no table footer")
    _, position = _handle(footer, 0)  # the meta-index block, which is empty in bundles
    index, _ = _handle(footer, position)
    for _, value in _block(content, *index):
        block, _ = _handle(value, 0)
        yield from _block(content, *block)


def _handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Return the block handle (offset, size) at `position`, and the position after it."""
    offset, position = _varint(content, position)
    size, position = _varint(content, position)
    return (offset, size), position


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of one block, after its CRC is checked."""
    end = offset + size
    trailer = content[end : end + _TRAILER_BYTES]
    if len(trailer) < _TRAILER_BYTES:
        raise ValueError("a block ends outside the file")
    if trailer[0] != _UNCOMPRESSED:
        raise ValueError("a block is compressed, which TensorFlow's bundles never are")
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
    """Yield the fields (number, value) of a protocol buffer; nested messages are left as bytes."""
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
            raise ValueError("a field ends outside its message")
        yield number, message[position : position + length]
        position += length


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")  # noqa: TRY004  # the file's content is wrong
    return value


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a message was expected")  # noqa: TRY004  # the file's content is wrong
    return value


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return the base-128 number at `position`, and the position after it."""
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
