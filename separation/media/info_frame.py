"""The Info frame at the start of an mp3: length, seek table, encoder delay and padding.

Layout: Xing's header for variable bitrates, followed by the tag that LAME defines for it. All numbers are
big-endian. Its CRC-16 is the one with polynomial 0x8005, reflected, starting at 0 ("ARC").
"""

from __future__ import annotations

import struct

from fastcrc import crc16

from stemline.separation.media.mpeg import MpegVersion

#: Samples LAME puts before the first one; a decoder adds 529 of its own.
ENCODER_DELAY = 576

#: "Info", flags, frames, bytes, seek table, quality, LAME's tag.
_BODY_BYTES = 4 + 4 + 4 + 4 + 100 + 4 + 36
_HAS_FRAMES_BYTES_TOC_QUALITY = 0x0F
_ENCODER = b"LAME4.0\0\0"
_CBR = 1


class InfoFrame:
    """Measures one constant-bitrate stream while it is written, then renders the frame that precedes it.

    Attributes:
        size: Bytes that the frame takes.
    """

    def __init__(self, samplerate: int, channels: int, kbps: int) -> None:
        self._version = MpegVersion.of_rate(samplerate)
        self._channels = channels
        self._kbps = kbps
        self._offset = 4 + self._version.side_info_bytes(channels)
        # The frame has a higher bitrate than the stream where its content would not fit otherwise.
        self._index = next(
            index
            for index, rate in enumerate(self._version.kbps)
            if rate >= kbps and self._version.frame_bytes(index) >= self._offset + _BODY_BYTES
        )
        self.size = self._version.frame_bytes(self._index)
        self._frames = 0
        self._bytes = 0
        self._next_frame = 0  # where in the stream it begins
        self._carry = b""
        self._crc = 0

    def scan(self, data: bytes) -> None:
        """Count the frames in the next bytes of the stream."""
        start = self._bytes - len(self._carry)
        self._bytes += len(data)
        self._crc = crc16.arc(data, self._crc)
        data = self._carry + data
        at = self._next_frame - start
        while at + 3 <= len(data):
            header = data[at + 2]
            self._frames += 1
            at += self._version.frame_bytes(header >> 4, padded=bool(header & 2))
        self._next_frame = start + at
        self._carry = data[at:]

    def render(self, samples: int) -> bytes:
        """Return the frame for a stream that encodes `samples` samples of each channel."""
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
        body += struct.pack(">IH", total & 0xFFFFFFFF, self._crc)
        frame = bytes(header).ljust(self._offset, b"\0") + body
        return (frame + struct.pack(">H", crc16.arc(frame))).ljust(self.size, b"\0")
