"""Bars with lines of text below them, which are wrapped and never cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.progress import Progress
from rich.text import Text


class Bars(Progress):
    """Bars, and below them what is said about the whole.

    Attributes:
        said: lines below the bars; empty ones are left out.
    """

    said: Sequence[str] = ()

    def get_renderables(self) -> Iterator[Any]:
        """Yield the bars and the lines."""
        yield from super().get_renderables()
        for line in filter(None, self.said):
            yield Text(line, overflow="fold")

    def say(self, *lines: str) -> None:
        """Set the lines below the bars."""
        self.said = lines
        self.refresh()
