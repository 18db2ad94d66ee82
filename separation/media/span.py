"""A part of a file that reads like a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import BinaryIO


class Span(io.RawIOBase):
    """The bytes of a file from `start` to `end`, for reading."""

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int,
        *,
        closes: bool = True,
        corrections: Mapping[int, bytes] | None = None,
    ) -> None:
        """Read a part of a file.

        Args:
            file: The opened file.
            start: Its first byte that belongs to the part.
            end: The first one that does not.
            closes: Whether the file is closed with the part.
            corrections: Bytes that are read instead of those in the file, by their position in the part.
        """
        self._file = file
        self._start = start
        self._end = end
        self._closes = closes
        self._corrections = corrections or {}
        self._file.seek(start)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer is one
        """Fill the buffer as far as the part reaches."""
        view, position = memoryview(buffer), self.tell()
        left = max(self._end - self._start - position, 0)
        count: int = self._file.readinto(view[:left])  # type: ignore[attr-defined]  # BinaryIO's lacks
        for place, content in self._corrections.items():
            first, last = max(place, position), min(place + len(content), position + count)
            if first < last:
                view[first - position : last - position] = content[first - place : last - place]
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position within the part."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(max(base + offset, self._start)) - self._start

    def tell(self) -> int:
        """Return the position within the part."""
        return self._file.tell() - self._start

    def close(self) -> None:
        """Close the part, and the file where it belongs to it."""
        if self._closes:
            self._file.close()
        super().close()
