"""The Xing/LAME "Info" frame of an mp3 file: length, seek table, encoder delay and padding.

Layout: Xing's VBR header followed by the tag that LAME defines for it. All numbers are big-endian.
"""

from __future__ import annotations

import struct

from stemline.separation.media.crc16 import Crc16
from stemline.separation.media.mpeg import MpegVersion

#: Samples LAME puts before the first one; a decoder adds 529 of its own.
ENCODER_DELAY = 576

#: "Info", flags, frames, bytes, seek table, quality, LAME's tag.
_BODY_BYTES = 4 + 4 + 4 + 4 + 100 + 4 + 36
_HAS_FRAMES_BYTES_TOC_QUALITY = 0x0F
_ENCODER = b"LAME4.0\0\0"
_CBR = 1


class InfoFrame:
    """Watches one constant-bitrate stream go by, then renders the frame that belongs before it."""

    def __init__(self, samplerate: int, channels: int, kbps: int) -> None:
        self._version = MpegVersion.of_rate(samplerate)
        self._channels = channels
        self._kbps = kbps
        self._offset = 4 + self._version.side_info_bytes(channels)
        # The frame may have a higher bitrate than the stream, where its content would not fit otherwise.
        self._index = next(
            index
            for index, rate in enumerate(self._version.kbps)
            if rate >= kbps and self._version.frame_bytes(index) >= self._offset + _BODY_BYTES
        )
        #: Bytes the frame takes.
        self.size = self._version.frame_bytes(self._index)
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
            at += self._version.frame_bytes(header >> 4, padded=bool(header & 2))
        self._next = start + at
        self._carry = data[at:]

    def render(self, samples: int) -> bytes:
        """Return the frame for a stream that stands for ``samples`` samples of each channel."""
        padding = min(max(self._frames * self._version.samples - ENCODER_DELAY - samples, 0), 0xFFF)
        total = self.size + self._bytes
        toc = bytes((self.size + self._bytes * percent // 100) * 256 // total for percent in range(100))
        header = (
            0xFF,
            0xE0 | self._version.bits << 3 | 0x03,  # layer III, no checksum
            self._index << 4 | self._version.rate_index << 2,
            0xC0 if self._channels == 1 else 0x00,
        )
        body = b"Info" + struct.pack(">III", _HAS_FRAMES_BYTES_TOC_QUALITY, self._frames, total) + toc
        body += struct.pack(">I", 50)
        body += _ENCODER + bytes((_CBR, 0)) + bytes(8) + bytes((0, min(self._kbps, 255)))
        body += (ENCODER_DELAY << 12 | padding).to_bytes(3, "big") + bytes(4)
        body += struct.pack(">IH", total & 0xFFFFFFFF, self._crc.value)
        frame = bytes(header).ljust(self._offset, b"\0") + body
        tag_crc = Crc16()
        tag_crc.update(frame)
        return (frame + struct.pack(">H", tag_crc.value)).ljust(self.size, b"\0")
