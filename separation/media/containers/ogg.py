"""Ogg (RFC 3533): pages with checksums. FFmpeg passes over damaged pages without an error."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from fastcrc import crc32

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

#: The capture pattern and the version.
_CAPTURE = b"OggS\0"
_HEADER_BYTES = 27
_NO_PACKET_ENDS = -1
_BLOCK_BYTES = 1 << 20
#: The first packet of FLAC in Ogg, up to the lengths of its frames.
_FLAC = b"\x7fFLAC"
_FLAC_HEAD_BYTES = 21


class _Page(NamedTuple):
    """One page: its position in the file, by its own lengths, and what its header says.

    `number` counts the pages of its stream, `packets` the packets that end in it; `is_first` says whether it
    is the first page of a stream; `body` is how its content begins.
    """

    start: int
    end: int
    serial: bytes
    position: int
    number: int
    packets: int
    is_first: bool
    is_intact: bool
    body: bytes


def matches(head: bytes) -> bool:
    """Return whether the file begins with a page."""
    return head[:4] == b"OggS"


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the pages and compare their checksums."""
    last: _Page | None = None
    serial = b""
    start = 0
    links = []
    metadata = 0
    in_headers = True
    packets = _UnfinishedPackets()
    flac = _FlacStart()
    numbers: dict[bytes, int] = {}
    while (page := _read_page(file, start)) and page.is_intact and page.end <= size:
        expected = numbers.get(page.serial, page.number - 1) + 1
        # A radio station sends its headers to everyone, and goes on with the page of the moment.
        if page.number != expected & 0xFFFFFFFF and not in_headers and not page.is_first:
            return Structure(size, broken_at=start)
        if not in_headers:
            numbers[page.serial] = page.number
        serial = serial or page.serial
        in_headers = in_headers and page.position <= 0
        if in_headers:
            metadata += page.end - page.start
        else:
            packets.add(page)
        flac.add(page)
        if page.is_first and last is not None and not last.is_first:
            links.append(start)
            metadata += PART_BYTES
        if metadata + packets.most > METADATA_MAX_BYTES:
            return Structure(size, metadata_bytes=metadata + packets.most)
        last = page
        start = page.end
    # A foreign tag may follow the last page, but no page may follow something foreign.
    beyond = _last_page(file, start)
    is_cut_short = beyond is not None and beyond.start == start and beyond.end > size
    last = beyond or last
    if last is None:
        return Structure(size)
    return Structure(
        size,
        end=last.end,
        broken_at=start if beyond and not is_cut_short else None,
        links=tuple(links),
        metadata_bytes=metadata + packets.most,
        first_sample=flac.first_sample,
        first_page_samples=flac.page_samples,
        last_sample=last.position if last.serial == serial and last.position > 0 else None,
    )


class _FlacStart:
    """Where FLAC in Ogg begins: FFmpeg counts the samples of its first page from 0, whatever its position.

    Attributes:
        first_sample: Number of its first sample; 0 without FLAC in frames of one length.
        page_samples: Samples of its first page.
    """

    def __init__(self) -> None:
        self.first_sample = 0
        self.page_samples = 0
        self._frames: dict[bytes, int] = {}

    def add(self, page: _Page) -> None:
        """Take the next page."""
        if page.is_first and page.body.startswith(_FLAC):
            shortest, longest = (int.from_bytes(page.body[at : at + 2], "big") for at in (17, 19))
            if shortest == longest:
                self._frames[page.serial] = longest
        elif page.position > 0 and (frame := self._frames.pop(page.serial, 0)):
            self.page_samples = page.packets * frame
            # The last frame may be a shorter one, where this is the only page.
            self.first_sample = max(page.position - self.page_samples, 0)


class _UnfinishedPackets:
    """Bytes of packets that go on over several pages, which FFmpeg gathers in memory; `most` at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._bytes = 0
        self._by_stream: dict[bytes, int] = {}

    def add(self, page: _Page) -> None:
        """Take the next page."""
        before = self._by_stream.pop(page.serial, 0)
        self._bytes -= before
        if page.position == _NO_PACKET_ENDS:
            self._by_stream[page.serial] = before + PART_BYTES + page.end - page.start
            self._bytes += self._by_stream[page.serial]
            self.most = max(self.most, self._bytes)


def _read_page(file: BinaryIO, start: int) -> _Page | None:
    """Read the page at `start`, the current position; None where there is no page."""
    header = file.read(_HEADER_BYTES)
    if not header.startswith(_CAPTURE):
        return None
    segments = header[26] if len(header) == _HEADER_BYTES else 0
    table = file.read(segments)
    body = file.read(sum(table))
    blank = header[:22] + bytes(4) + header[26:]
    return _Page(
        start=start,
        end=start + _HEADER_BYTES + segments + sum(table),
        serial=header[14:18],
        number=int.from_bytes(header[18:22], "little"),
        packets=sum(length < 255 for length in table),
        is_first=len(header) > 5 and bool(header[5] & 2),
        position=int.from_bytes(header[6:14], "little", signed=True),
        is_intact=ogg_checksum(blank + table + body) == int.from_bytes(header[22:26], "little"),
        body=body[:_FLAC_HEAD_BYTES],
    )


def _last_page(file: BinaryIO, start: int) -> _Page | None:
    """Return the last page after `start`; what precedes it need not be a page."""
    file.seek(start)
    found = -1
    tail = b""
    at = start
    while block := file.read(_BLOCK_BYTES):
        window = tail + block
        if (position := window.rfind(_CAPTURE)) >= 0:
            found = at - len(tail) + position
        at += len(block)
        tail = window[1 - len(_CAPTURE) :]
    if found < 0:
        return None
    file.seek(found)
    return _read_page(file, found)


def ogg_checksum(page: bytes) -> int:
    """Return the CRC-32 of a page: polynomial 0x04C11DB7, most significant bit first, start 0."""
    return crc32.cksum(page) ^ 0xFFFFFFFF  # POSIX's cksum is the same, inverted
