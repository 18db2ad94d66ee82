"""The headers of MPEG audio frames (ISO 11172-3, 13818-3, and the common 2.5 extension) and of ADTS."""

from __future__ import annotations

from dataclasses import dataclass

_MPEG1, _MPEG2, _MPEG25 = 3, 2, 0
_LAYER_II, _LAYER_III = 2, 1

_RATES = {
    _MPEG1: (44_100, 48_000, 32_000),
    _MPEG2: (22_050, 24_000, 16_000),
    _MPEG25: (11_025, 12_000, 8_000),
}

_KBPS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS_MPEG1_LAYER_II = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)

_ADTS_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350
)  # fmt: skip


def frame_samples(rate: int) -> int:
    """Return the samples of each channel in a layer III frame at `rate` Hz."""
    return 1152 if rate >= 32_000 else 576


@dataclass(frozen=True, slots=True)
class MpegVersion:
    """What a sample rate, in Hz, decides about a layer III frame."""

    bits: int
    rate: int

    @classmethod
    def of_rate(cls, rate: int) -> MpegVersion:
        """Return the version that has this rate."""
        return cls(next(bits for bits, rates in _RATES.items() if rate in rates), rate)

    @property
    def rate_index(self) -> int:
        """Return the header's two bits for the rate."""
        return _RATES[self.bits].index(self.rate)

    @property
    def samples(self) -> int:
        """Return the samples of each channel in a frame."""
        return frame_samples(self.rate)

    @property
    def kbps(self) -> tuple[int, ...]:
        """Return the bitrates a frame can have, in kbit/s by index; index 0 means "free"."""
        return _KBPS_MPEG1 if self.bits == _MPEG1 else _KBPS_MPEG2

    @property
    def encoder_kbps(self) -> tuple[int, ...]:
        """Return the bitrates that LAME writes, in kbit/s: no more than 64 in version 2.5."""
        return tuple(kbps for kbps in self.kbps[1:] if self.bits != _MPEG25 or kbps <= 64)

    def side_info_bytes(self, channels: int) -> int:
        """Return the bytes between a frame's header and its main data."""
        if self.bits == _MPEG1:
            return 17 if channels == 1 else 32
        return 9 if channels == 1 else 17

    def frame_bytes(self, index: int, *, padded: bool = False) -> int:
        """Return the bytes of a frame with the bitrate of `index`."""
        return self.samples // 8 * self.kbps[index] * 1000 // self.rate + padded


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of an elementary stream: its length in bytes and seconds, its bitrate, its channels.

    The bitrate, in kbit/s, is 0 where the header does not name one.
    """

    bytes: int
    seconds: float
    kbps: int
    channels: int


def parse_frame(header: bytes) -> Frame | None:
    """Return the frame of layer II, layer III or ADTS that a header of 7 bytes declares; None without one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    if header[1] & 0xF6 == 0xF0:
        return _adts_frame(header)
    bits, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    index, rate_index, padded = header[2] >> 4, header[2] >> 2 & 3, bool(header[2] & 2)
    if bits not in _RATES or layer not in {_LAYER_II, _LAYER_III} or index in {0, 15} or rate_index == 3:
        return None
    rate = _RATES[bits][rate_index]
    channels = 1 if header[3] >> 6 == 3 else 2
    if layer == _LAYER_III:
        version = MpegVersion(bits, rate)
        length = version.frame_bytes(index, padded=padded)
        return Frame(length, version.samples / rate, version.kbps[index], channels)
    kbps = (_KBPS_MPEG1_LAYER_II if bits == _MPEG1 else _KBPS_MPEG2)[index]
    return Frame(144 * kbps * 1000 // rate + padded, 1152 / rate, kbps, channels)


def _adts_frame(header: bytes) -> Frame | None:
    """Return the frame that an ADTS header declares (ISO 13818-7, 6.2)."""
    rate_index = header[2] >> 2 & 15
    if len(header) < 7 or rate_index >= len(_ADTS_RATES):
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if length < 7:
        return None
    blocks = 1 + (header[6] & 3)
    channels = (header[2] & 1) << 2 | header[3] >> 6
    return Frame(length, 1024 * blocks / _ADTS_RATES[rate_index], 0, 8 if channels == 7 else channels)


def declared_bytes(header: bytes) -> int | None:
    """Return the length in bytes that a layer II or III frame header declares; None where it is none."""
    if len(header) > 1 and header[1] & 0xF6 == 0xF0:
        return None
    frame = parse_frame(header)
    return frame.bytes if frame else None
