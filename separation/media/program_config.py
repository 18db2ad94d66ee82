"""The channels of AAC with a layout of its own: the program config element (ISO 14496-3, 4.4.1.1).

FFmpeg's decoder gives the channels of layouts that it has no name for without names, in the element's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from stemline.separation.media.packet_count import Opener, stream_packets

#: Packets of a raw stream in which the element is looked for; writers repeat it.
_MAX_PACKETS = 100
#: More than a configuration and such an element may have without its comment.
_MAX_BYTES = 80
_ELEMENT, _ELEMENT_BITS = 5, 3
_EXPLICIT_RATE = 15
#: Object types whose configuration is read, with a layout of its own: Main, LC, SSR, LTP.
_OBJECT_TYPES = range(1, 5)
_ADTS_BYTES, _ADTS_CHECKSUM_BYTES = 7, 2
_FRONT = (("FL", "FR"), ("FLC", "FRC"))


class _Bits:
    """Reads numbers from bytes, bit by bit; behind the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data[:_MAX_BYTES].ljust(_MAX_BYTES, b"\0"), "big")
        self._length = 8 * _MAX_BYTES
        self._at = 0

    def take(self, count: int) -> int:
        """Return the number in the next bits."""
        self._at += count
        return self._number >> max(self._length - self._at, 0) & (1 << count) - 1


def channel_names(extradata: bytes | None, opener: Opener, demuxer: str, index: int) -> tuple[str, ...]:
    """Return FFmpeg's names of a stream's channels, in order; none where it has no such element.

    Args:
        extradata: The stream's AudioSpecificConfig; None or empty where each frame has a header.
        opener: Returns the source.
        demuxer: FFmpeg's name of the demuxer that reads it.
        index: The stream's.
    """
    if extradata:
        return _of_config(extradata)
    packets = islice(stream_packets(opener, demuxer, index), _MAX_PACKETS)
    return next((names for packet in packets if (names := _of_frame(bytes(packet)))), ())


def _of_config(config: bytes) -> tuple[str, ...]:
    """Return the names that an AudioSpecificConfig gives."""
    bits = _Bits(config)
    object_type = bits.take(5)
    if bits.take(4) == _EXPLICIT_RATE:
        bits.take(24)
    if bits.take(4) or object_type not in _OBJECT_TYPES:
        return ()
    bits.take(1)
    if bits.take(1):
        bits.take(14)
    bits.take(1)
    return _of_element(bits)


def _of_frame(frame: bytes) -> tuple[str, ...]:
    """Return the names that the first element of an ADTS frame gives."""
    if len(frame) < _ADTS_BYTES or frame[0] != 0xFF:
        return ()
    channels = (frame[2] & 1) << 2 | frame[3] >> 6
    start = _ADTS_BYTES + (0 if frame[1] & 1 else _ADTS_CHECKSUM_BYTES)
    bits = _Bits(frame[start:])
    return _of_element(bits) if not channels and bits.take(_ELEMENT_BITS) == _ELEMENT else ()


def _of_element(bits: _Bits) -> tuple[str, ...]:
    """Return the names that a program config element gives; none for layouts that have none."""
    bits.take(10)  # instance, object type, rate
    counts = [bits.take(4) for _ in range(3)]
    effects = bits.take(2)
    bits.take(7)  # associated data, coupling channels
    for length in (4, 4, 3):  # mixdowns
        if bits.take(1):
            bits.take(length)
    front, side, back = ([_channels(bits) for _ in range(count)] for count in counts)
    if sum(side) % 2 or len(front) + len(side) + len(back) == 0:
        return ()
    return (
        *_named(front, _FRONT, "FC", is_first=True),
        *_named(side, [("SL", "SR")], "", is_first=True),
        *_named(back, [("BL", "BR")], "BC", is_first=False),
        *("LFE", "LFE2", "LFE2")[:effects],
    )


def _channels(bits: _Bits) -> int:
    """Return how many channels the next element of the list has."""
    count = 1 + bits.take(1)
    bits.take(4)
    return count


def _named(
    elements: Sequence[int], pairs: Sequence[tuple[str, str]], single: str, *, is_first: bool
) -> Iterator[str]:
    """Yield the names of a list's channels.

    Args:
        elements: How many channels each has.
        pairs: Names of the pairs, from the outermost.
        single: Name of the channel without a partner.
        is_first: Whether that is the first or the last element of one channel.
    """
    total = sum(elements)
    alone = None
    if total % 2:
        ones = [place for place, count in enumerate(elements) if count == 1]
        alone = ones[0] if is_first else ones[-1]
    # They follow each other from the inside to the outside.
    names = chain.from_iterable(pairs[min(left, len(pairs) - 1)] for left in reversed(range(total // 2)))
    for place, count in enumerate(elements):
        yield from (single,) if place == alone else islice(names, count)
