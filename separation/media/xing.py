"""The Xing/LAME "Info" frame of an mp3 file: length, seek table, encoder delay and padding.

Layout: Xing's VBR header followed by the tag that LAME defines for it. All numbers are big-endian.
"""

from __future__ import annotations

import struct

from separation.media.crc16 import Crc16

#: Samples LAME puts before the first one; a decoder adds 529 of its own.
ENCODER_DELAY = 576

_KBPS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
#: Header bits of version and rate for each rate in Hz: MPEG-1, MPEG-2, MPEG-2.5.
_RATES = {44100: (3, 0), 48000: (3, 1), 32000: (3, 2), 22050: (2, 0), 11025: (0, 0)}
#: "Info", flags, frames, bytes, seek table, quality, LAME's tag.
_BODY_BYTES = 4 + 4 + 4 + 4 + 100 + 4 + 36
_HAS_FRAMES_BYTES_TOC_QUALITY = 0x0F
_CBR = 1


class InfoFrame:
    """Watches one constant-bitrate stream go by, then renders the frame that belongs before it."""

    def __init__(self, samplerate: int, channels: int, kbps: int) -> None:
        self._version, self._rate_index = _RATES[samplerate]
        mpeg1 = self._version == 3
        mono = channels == 1
        self._rate = samplerate
        self._mode = 0xC0 if mono else 0x00
        self._kbps = kbps
        self._table = _KBPS_MPEG1 if mpeg1 else _KBPS_MPEG2
        self._samples_per_frame = 1152 if mpeg1 else 576
        side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
        self._offset = 4 + side_info
        # The frame may have a higher bitrate than the stream, where its content would not fit otherwise.
        self._index = next(
            index
            for index, rate in enumerate(self._table)
            if rate >= kbps and self._length(index) >= self._offset + _BODY_BYTES
        )
        #: Bytes the frame takes.
        self.size = self._length(self._index)
        self._frames = 0
        self._bytes = 0
        self._next = 0
        self._carry = b""
        self._crc = Crc16()

    def scan(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        start = self._bytes - len(self._carry)
        self._bytes += len(data)
        self._crc.update(data)
        data = self._carry + data
        at = self._next - start
        while at + 3 <= len(data):
            header = data[at + 2]
            self._frames += 1
            at += self._length(header >> 4, padded=bool(header & 2))
        self._next = start + at
        self._carry = data[at:]

    def render(self, samples: int) -> bytes:
        """Return the frame for a stream that stands for ``samples`` samples of each channel."""
        encoded = self._frames * self._samples_per_frame
        padding = min(max(encoded - ENCODER_DELAY - samples, 0), 0xFFF)
        total = self.size + self._bytes
        toc = bytes((self.size + self._bytes * percent // 100) * 256 // total for percent in range(100))
        frame = bytearray(self.size)
        frame[:4] = bytes(
            (
                0xFF,
                0xE0 | self._version << 3 | 0x03,  # layer III, no checksum
                self._index << 4 | self._rate_index << 2,
                self._mode,
            )
        )
        body = b"Info" + struct.pack(">III", _HAS_FRAMES_BYTES_TOC_QUALITY, self._frames, total) + toc
        body += struct.pack(">I", 50)
        body += b"LAME3.100" + bytes((_CBR, 0)) + bytes(8) + bytes((0, min(self._kbps, 255)))
        body += (ENCODER_DELAY << 12 | padding).to_bytes(3, "big") + bytes(4)
        body += struct.pack(">IH", total, self._crc.value)
        frame[self._offset : self._offset + len(body)] = body
        end = self._offset + len(body)
        tag_crc = Crc16()
        tag_crc.update(bytes(frame[:end]))
        frame[end : end + 2] = struct.pack(">H", tag_crc.value)
        return bytes(frame)

    def _length(self, index: int, *, padded: bool = False) -> int:
        return self._samples_per_frame // 8 * self._table[index] * 1000 // self._rate + padded
