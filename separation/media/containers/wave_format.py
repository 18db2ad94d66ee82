"""The description of samples in wav, Wave64 and avi (WAVEFORMATEX and WAVEFORMATEXTENSIBLE).

FFmpeg chooses the width of PCM samples by their valid bits, and reads noise where each takes more bytes than
these need. The bits that are valid are the upper ones, so that such samples are read as they are stored.
"""

from __future__ import annotations

import struct
from typing import Final

#: Bytes that `corrections` looks at.
FORMAT_BYTES: Final = 40

_HEAD = struct.Struct("<HHIIHH")
_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
_BITS_AT, _VALID_BITS_AT, _SUBFORMAT_AT = 14, 18, 24
#: Cool Edit's floating-point samples of 16 and 24 bits say that they are PCM, 4 bytes each.
_COOL_EDIT_BITS = (16, 24)
_COOL_EDIT_BYTES = 4


def corrections(form: bytes, at: int) -> dict[int, bytes]:
    """Return what has to stand in a description so that FFmpeg reads samples as wide as they are stored.

    Args:
        form: The description, or its first `FORMAT_BYTES`.
        at: Its position in the file.

    Returns:
        Bytes by their position in the file; none where it says so already, or contradicts itself.
    """
    if len(form) < _HEAD.size:
        return {}
    tag, channels, rate, bytes_a_second, block, bits = _HEAD.unpack_from(form)
    if not channels or block % channels:
        return {}
    width = block // channels
    stored = struct.pack("<H", 8 * width)
    if tag == _EXTENSIBLE and len(form) >= FORMAT_BYTES:
        valid, kind = (int.from_bytes(form[i : i + 2], "little") for i in (_VALID_BITS_AT, _SUBFORMAT_AT))
        is_sure = bits == 8 * width or bytes_a_second == rate * block
        if kind == _PCM and width in range(1, 5) and is_sure and {bits, valid} != {8 * width}:
            return {at + _BITS_AT: stored, at + _VALID_BITS_AT: stored}
    elif tag == _PCM and width in range(1, 5) and bytes_a_second == rate * block:
        is_float = bits in _COOL_EDIT_BITS and width == _COOL_EDIT_BYTES
        if bits and -(-bits // 8) != width and not is_float:
            return {at + _BITS_AT: stored}
    return {}
