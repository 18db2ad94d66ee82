"""Writes TensorFlow checkpoints (tensor bundles) of one data file and an index of one block."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from fastcrc import crc32
from numpy.typing import NDArray

from stemline.models.catalogue import DATA_FILE, INDEX_FILE

_FLOAT32 = 1  # DT_FLOAT of tensorflow/core/framework/types.proto
_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48


def write_bundle(folder: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the tensors as `model.index` and `model.data-00000-of-00001`, as TensorFlow's Saver does."""
    # The header: one shard, little endian, version 1 of the format.
    entries = [(b"", _field(1, 1) + _field(3, _field(1, 1)))]
    offset = 0
    with (folder / DATA_FILE).open("wb") as data:
        for name in sorted(tensors):
            content = tensors[name].astype("<f4").tobytes()
            shape = b"".join(_field(2, _field(1, size)) for size in tensors[name].shape)
            place = _field(4, offset) + _field(5, len(content))
            entries.append((name.encode(), _field(1, _FLOAT32) + _field(2, shape) + place))
            offset += data.write(content)
    body = _block(entries)
    handle = _varint(0) + _varint(len(body) - 5)
    meta = _block([])
    meta_handle = _varint(len(body)) + _varint(len(meta) - 5)
    index = _block([(entries[-1][0] + b"\0", handle)])
    index_handle = _varint(len(body) + len(meta)) + _varint(len(index) - 5)
    footer = (meta_handle + index_handle).ljust(_FOOTER_BYTES - 8, b"\0") + _MAGIC.to_bytes(8, "little")
    (folder / INDEX_FILE).write_bytes(body + meta + index + footer)


def _block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a block of sorted entries, each with its whole key, and its trailer."""
    lines = [_varint(0) + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries]
    starts = [0, *itertools.accumulate(map(len, lines))][: max(1, len(lines))]
    restarts = b"".join(start.to_bytes(4, "little") for start in (*starts, len(starts)))
    content = b"".join(lines) + restarts + b"\0"  # not compressed
    crc = crc32.iscsi(content)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return content + masked.to_bytes(4, "little")


def _field(number: int, value: int | bytes) -> bytes:
    """Return a field of a protocol buffer: a number, or a nested message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
