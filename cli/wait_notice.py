"""Says what a command waits for, when nothing has happened for some seconds."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import click

from stemline.client import Client

if TYPE_CHECKING:
    from stemline.client.call import Call

T = TypeVar("T")


class WaitNotice:
    """Says once what a block waits for, if nothing happens for some seconds.

    Call :meth:`moved` when something has happened.

    Attributes:
        silent_s: Time without anything, after which it is said, s.
        has_said: Whether it took long.
    """

    silent_s = 5.0

    def __init__(self, what: str) -> None:
        """Begin nothing yet.

        Args:
            what: Is waited for.
        """
        self.has_said = False
        self._what = what
        self._moved = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wait-notice", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._moved = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()

    def moved(self) -> None:
        """Note that something has happened."""
        self._moved = time.monotonic()

    def _watch(self) -> None:
        while not self._ended.wait(max(0.0, self._left())):
            if self._left() <= 0:
                self.has_said = True
                click.echo(f"Waiting for {self._what} ...", err=True)
                return

    def _left(self) -> float:
        return self._moved + self.silent_s - time.monotonic()


class NoticingClient(Client):
    """A client that says once that the service does not answer, after some seconds."""

    _is_watched = False
    """Whether a call is watched now, or was said to take long."""

    def send(self, call: Call[T], *, within_s: float | None = None) -> T:
        """Send a call; see :meth:`stemline.client.Client.send`."""
        is_held = "Prefer" in call.headers  # the service was asked to answer later
        if is_held or self._is_watched:
            return super().send(call, within_s=within_s)
        self._is_watched = True
        notice = WaitNotice(f"an answer of {self.target.api}")
        try:
            with notice:
                return super().send(call, within_s=within_s)
        finally:
            self._is_watched = notice.has_said
