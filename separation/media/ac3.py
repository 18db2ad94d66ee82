"""Lengths of frames of AC-3 and Enhanced AC-3 (ETSI TS 102 366)."""

from __future__ import annotations

from typing import Final

SYNC_WORD: Final = b"\x0b\x77"

_HEAD_BYTES = 6
#: kbit/s by the upper bits of `frmsizecod`.
_BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
#: Hz by `fscod`.
_RATES = (48_000, 44_100, 32_000)
_FRAME_SAMPLES = 1536
#: The largest `bsid` of AC-3; Enhanced AC-3 has larger ones.
_LARGEST_BSID = 10


def frame_bytes(head: bytes) -> int | None:
    """Return how long a frame says it is, by its first 6 bytes; None where it is none."""
    if len(head) < _HEAD_BYTES or head[:2] != SYNC_WORD:
        return None
    if head[5] >> 3 > _LARGEST_BSID:
        return 2 * (int.from_bytes(head[2:4], "big") & 0x7FF) + 2
    rate, code = head[4] >> 6, head[4] & 0x3F
    if rate >= len(_RATES) or code >> 1 >= len(_BITRATES):
        return None
    words = _BITRATES[code >> 1] * 1000 * _FRAME_SAMPLES // (16 * _RATES[rate])
    return 2 * (words + (code & 1 if _RATES[rate] == 44_100 else 0))


def whole_frames(data: bytes) -> int:
    """Return how many of the bytes are whole frames, one behind the other; all if the first is cut."""
    at = 0
    while (length := frame_bytes(data[at : at + _HEAD_BYTES])) is not None and at + length <= len(data):
        at += length
    return at or len(data)
