"""The audio of a source that another process decodes."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stemline.separation import errors
from stemline.separation.decoder_child import BLOCK, END, ERROR, HEADER, OUT_OF_MEMORY, SOURCE
from stemline.separation.decoder_server import STATUS
from stemline.separation.errors import (
    Cancelled,
    DecoderCrashed,
    DecoderLost,
    DecodingTooExpensive,
    LimitExceeded,
    MediaError,
    OptionError,
    SeparationError,
)
from stemline.separation.media.types import SourceInfo

#: How often a wait for the child asks whether the separation was cancelled, seconds.
_POLL_S = 0.2
#: What a child may report: the source had it in its hands, and must not end a worker or blame its device.
_REPORTED = (MediaError, LimitExceeded, OptionError, DecoderCrashed)
#: Longest message of a child: more than a block of samples.
_MESSAGE_MAX_BYTES = 4 << 20
#: How long the end of a child may take to be reported, seconds.
_EXIT_S = 10.0
_FRAME_BYTES = 8


class IsolatedAudio:
    """Iterating yields the blocks of an `AudioSource`.

    Attributes:
        source, duration_s, tags: See `AudioSource`; of the tags, those that stems keep.
    """

    source: SourceInfo
    duration_s: float | None
    tags: Mapping[str, str]

    def __init__(self, output: int, link: socket.socket, cancelled: Callable[[], bool] | None) -> None:
        """Take over the two ends of a child.

        Args:
            output: Descriptor of the pipe that the child writes to.
            link: Socket by which the server says how the child ended.
            cancelled: Whether to give up.
        """
        self._output = output
        self._link = link
        self._cancelled = cancelled or (lambda: False)
        self._interrupted = threading.Event()
        self._is_closed = False
        self._poll = select.poll()
        self._poll.register(output, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, within_s: float) -> None:
        """Wait until the source is open.

        Raises:
            DecodingTooExpensive: It takes longer than `within_s` seconds.
        """
        kind, content = self._receive(time.monotonic() + within_s)
        if kind != SOURCE:
            raise DecoderCrashed
        source, self.tags = json.loads(bytes(content))
        self.source = SourceInfo(**source)
        self.duration_s = self.source.duration_s

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        while True:
            kind, content = self._receive()
            if kind == END:
                return
            if kind != BLOCK or len(content) % _FRAME_BYTES:
                raise DecoderCrashed
            yield content.view(np.float32).reshape(-1, 2)

    def interrupt(self) -> None:
        """Let a thread that waits for the next block raise Cancelled."""
        self._interrupted.set()

    def close(self) -> None:
        """Kill the child unless it has ended, and wait for its end."""
        self.interrupt()
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(OSError):  # the server is gone, and the child with it
            self._link.shutdown(socket.SHUT_WR)
        self._exit_status()
        self._link.close()
        os.close(self._output)

    def _receive(self, deadline: float | None = None) -> tuple[bytes, NDArray[np.uint8]]:
        """Return the next message; raise the error that it reports."""
        kind, length = HEADER.unpack(self._read(HEADER.size, deadline).tobytes())
        if length > _MESSAGE_MAX_BYTES:
            raise DecoderCrashed
        content = self._read(length, deadline)
        if kind == ERROR:
            name, message = json.loads(content.tobytes())
            found = getattr(errors, name, None)
            if isinstance(found, type) and issubclass(found, _REPORTED):
                raise found(message)
            raise DecoderCrashed
        return kind, content

    def _read(self, length: int, deadline: float | None) -> NDArray[np.uint8]:
        buffer = np.empty(length, np.uint8)
        view = buffer.data
        while view:
            if self._cancelled() or self._interrupted.is_set():
                raise Cancelled
            if not self._poll.poll(_POLL_S * 1000):
                if deadline is not None and time.monotonic() > deadline:
                    raise DecodingTooExpensive("Opening the source takes longer than this service allows.")
                continue
            count = os.readv(self._output, [view])
            if count == 0:
                raise self._death()
            view = view[count:]
        return buffer

    def _death(self) -> SeparationError:
        """Return the error that the end of the child means."""
        status = self._exit_status()
        if status is None:
            return DecoderLost()
        if status in {OUT_OF_MEMORY, -signal.SIGKILL}:
            return DecodingTooExpensive("Decoding the source takes more memory than this service allows.")
        if status == -signal.SIGXCPU:
            return DecodingTooExpensive(
                "Decoding the source takes more processor time than this service allows."
            )
        return DecoderCrashed()

    def _exit_status(self) -> int | None:
        """Wait for the end of the child; return how it ended.

        Returns:
            None if nobody says so: the server is gone, or could start no child.
        """
        self._link.settimeout(_EXIT_S)
        with suppress(OSError):
            report = self._link.recv(STATUS.size)
            if len(report) == STATUS.size:
                return int(STATUS.unpack(report)[0])
        return None
