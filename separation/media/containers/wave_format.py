"""The description of samples in wav, Wave64, avi, asf and Matroska (WAVEFORMATEX and WAVEFORMATEXTENSIBLE).

FFmpeg chooses the width of PCM samples by their valid bits, and reads noise where each takes more bytes than
these need. The bits that are valid are the upper ones, so that such samples are read as they are stored.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, Final

from stemline.separation.media.containers.stored_samples import (
    FLOAT_BYTES,
    INTEGER_BYTES,
    StoredSamples,
    are_floats,
    cannot_read,
)

#: Bytes of a description that `stored_samples` looks at.
FORMAT_BYTES: Final = 40
#: Bytes of sound that are looked at, once there is more than silence, and of silence before.
_SOUND_BYTES, _SILENCE_BYTES = 1 << 20, 1 << 28

_NO_BITS: Final = "The source does not say how many bits its samples have."
_HEAD = struct.Struct("<HHIIHH")
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_BITS_AT, _VALID_BITS_AT, _SUBFORMAT_AT = 14, 18, 24
#: Cool Edit's floating-point samples say that they are PCM of so many bits, 4 bytes each; full scale is that
#: of integers of these bits.
_COOL_EDIT_BITS = (16, 24)
_COOL_EDIT_BYTES = 4


def stored_samples(form: bytes, at: int, sound: Callable[[], bytes] = bytes) -> StoredSamples:
    """Return what has to stand in a description so that FFmpeg reads samples as wide as they are stored.

    Args:
        form: The description, or its first `FORMAT_BYTES`.
        at: Its position in the file.
        sound: Returns the first samples that are not silent, where Cool Edit may have written them.

    Returns:
        Corrections; none where it says so already, or contradicts itself.
    """
    tag, channels, rate, bytes_a_second, block, bits = _HEAD.unpack_from(form.ljust(_HEAD.size, b"\0"))
    if not channels or not block or block % channels or not (bits or len(form) < _HEAD.size):
        return StoredSamples()
    width = block // channels
    if tag == _PCM and len(form) < _HEAD.size:  # without the number of bits, which FFmpeg takes for 8
        return StoredSamples(unreadable=_NO_BITS if width > 1 else "")
    is_sure = bytes_a_second == rate * block
    if tag == _EXTENSIBLE and len(form) >= FORMAT_BYTES:
        return _of_extensible(form, at, width, is_sure=is_sure or bits == 8 * width)
    if tag in (_PCM, _FLOAT) and is_sure and -(-bits // 8) != width:
        return _of_plain(tag, at, width, bits, sound)
    return StoredSamples()


def _of_plain(tag: int, at: int, width: int, bits: int, sound: Callable[[], bytes]) -> StoredSamples:
    """Return the same for a WAVEFORMATEX whose samples are wider than their bits need."""
    if width not in INTEGER_BYTES or bits > 8 * width or tag == _FLOAT:
        return cannot_read(bits, width, is_float=tag == _FLOAT)
    if bits in _COOL_EDIT_BITS and width == _COOL_EDIT_BYTES and are_floats(sound()):
        as_floats = {at: struct.pack("<H", _FLOAT), at + _BITS_AT: struct.pack("<H", 32)}
        return StoredSamples(as_floats, scale=2.0 ** (1 - bits))
    return StoredSamples({at + _BITS_AT: struct.pack("<H", 8 * width)})


def _of_extensible(form: bytes, at: int, width: int, *, is_sure: bool) -> StoredSamples:
    """Return the same for a WAVEFORMATEXTENSIBLE; `is_sure` where its fields agree on the `width`."""
    bits, valid, kind = (
        int.from_bytes(form[i : i + 2], "little") for i in (_BITS_AT, _VALID_BITS_AT, _SUBFORMAT_AT)
    )
    if kind not in (_PCM, _FLOAT) or {bits, valid} == {8 * width} or not is_sure:
        return StoredSamples()
    if width not in (INTEGER_BYTES if kind == _PCM else FLOAT_BYTES):
        return cannot_read(valid, width, is_float=kind == _FLOAT)
    stored = struct.pack("<H", 8 * width)
    return StoredSamples({at + _BITS_AT: stored, at + _VALID_BITS_AT: stored})


def first_sound(file: BinaryIO, start: int) -> bytes:
    """Return samples from `start` on, or from where they are no longer zero."""
    file.seek(start)
    for _ in range(_SILENCE_BYTES // _SOUND_BYTES):
        sound = file.read(_SOUND_BYTES)
        if sound.count(0) < len(sound) or not sound:
            return sound
    return b""
