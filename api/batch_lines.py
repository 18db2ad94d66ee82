"""Splits the bytes of a batch into lines while they arrive."""

from __future__ import annotations

from typing import Final

from stemline.jobs.errors import InvalidContent

MAX_BYTES: Final = 64 << 20
"""Largest body or manifest with rows, bytes."""
MAX_LINE: Final = 16 << 10
"""Longest line, bytes."""
_PART_BYTES: Final = 64 << 10
"""Rows are stored each time this much has arrived, so that a request's memory does not grow with them."""


class LineSplitter:
    """Splits bytes into lines, without blank ones, and returns them in parts."""

    def __init__(self) -> None:
        self._held = bytearray()
        """Split only when there is enough for a part: short lines take much more memory than their bytes."""
        self._total = 0

    @property
    def held(self) -> int:
        """Bytes that are held."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return lines once there are enough for a part.

        Raises:
            InvalidContent: A line, or all of them, is too long.
        """
        self._total += len(data)
        self._held += data
        if self._total > MAX_BYTES:
            raise InvalidContent(f"The rows are larger than {MAX_BYTES} bytes.")
        end = self._held.rfind(b"\n") + 1
        _check_line(len(self._held) - end)
        return self._take(end) if len(self._held) >= _PART_BYTES else []

    def end(self) -> list[bytes]:
        """Return the lines that are left."""
        return self._take(len(self._held))

    def _take(self, end: int) -> list[bytes]:
        lines = bytes(self._held[:end]).split(b"\n")
        del self._held[:end]
        _check_line(max(map(len, lines)))
        return [line for line in lines if line.strip()]


def _check_line(length: int) -> None:
    """Raise the error of a line that is too long."""
    if length > MAX_LINE:
        raise InvalidContent(f"A line is longer than {MAX_LINE} bytes.")
