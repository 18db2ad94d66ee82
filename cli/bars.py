"""What is drawn again and again on a terminal, without the keys that are pressed meanwhile."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.text import Text


class _WithoutEcho:
    """Lets a terminal print no keys while something is drawn on it."""

    _restore: Callable[[], None] | None = None

    def _hide_keys(self, console: Console) -> None:
        if self._restore is None:
            self._restore = without_echo(console)

    def _show_keys(self) -> None:
        if self._restore is not None:
            self._restore()
            self._restore = None


class Bars(_WithoutEcho, Progress):
    """Bars, and below them lines of text, which are wrapped and never cut.

    Attributes:
        said: Lines below the bars; empty ones are left out.
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

    def start(self) -> None:
        """Begin to draw."""
        if not self.disable:
            self._hide_keys(self.console)
        super().start()

    def stop(self) -> None:
        """Draw no more."""
        super().stop()
        self._show_keys()


class Redrawn(_WithoutEcho, Live):
    """Something that is drawn anew when it has changed, and cut at the end of the screen."""

    def __init__(self, console: Console) -> None:
        """Draw on a terminal."""
        super().__init__(console=console, auto_refresh=False, vertical_overflow="crop")

    def start(self, refresh: bool = False) -> None:
        """Begin to draw."""
        self._hide_keys(self.console)
        super().start(refresh)

    def stop(self) -> None:
        """Draw no more."""
        super().stop()
        self._show_keys()


def without_echo(console: Console) -> Callable[[], None]:
    """Let a terminal print no keys, which would move what is drawn, and return what ends this."""
    try:
        number = console.file.fileno()
        before = termios.tcgetattr(number)
    except (OSError, ValueError, termios.error):  # not a terminal
        return lambda: None
    silent = [*before]
    silent[3] &= ~termios.ECHO
    _set(number, silent)
    return lambda: _set(number, before)


def _set(number: int, modes: list[Any]) -> None:
    """Set the modes of a terminal, unless the process runs in its background, where this would stop it."""
    with suppress(OSError, termios.error):
        if os.tcgetpgrp(number) == os.getpgrp():
            termios.tcsetattr(number, termios.TCSANOW, modes)
