"""The audio of a source that another process decodes."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

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
from stemline.separation.media.tags import kept_tags
from stemline.separation.media.types import BLOCK_FRAMES, SourceInfo
from stemline.separation.network import SAMPLE_RATE

#: How often a wait for the child asks whether the separation was cancelled, seconds.
_POLL_S = 0.2
#: What a child may report: the source had it in its hands, and must not end a worker or blame its device.
_REPORTED = (MediaError, LimitExceeded, OptionError, DecoderCrashed)
#: Longest message of a child: more than a block of samples.
_MESSAGE_MAX_BYTES = 4 << 20
#: How long the end of a child may take to be reported, seconds.
_EXIT_S = 10.0
_FRAME_BYTES = 8
#: By which a child may exceed the longest duration before it says so.
_SLACK_FRAMES = 4 * BLOCK_FRAMES
_NAME_MAX_LENGTH = 100
_COUNT_MAX = 1 << 40


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _NAME_MAX_LENGTH


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _COUNT_MAX


def _is_duration(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value < _COUNT_MAX


#: What the properties of a source may be: whoever took over the child may send anything.
_IS_VALID: Mapping[str, Callable[[Any], bool]] = {
    "codec": _is_name,
    "samplerate": _is_count,
    "channels": _is_count,
    "bitrate_kbps": lambda value: value is None or _is_count(value),
    "container": _is_name,
    "duration_s": lambda value: value is None or _is_duration(value),
}


class IsolatedAudio:
    """Iterating yields the blocks of an `AudioSource`.

    Attributes:
        source, duration_s, tags: See `AudioSource`; of the tags, those that stems keep.
    """

    source: SourceInfo
    duration_s: float | None
    tags: Mapping[str, str]

    def __init__(
        self,
        output: int,
        link: socket.socket,
        cancelled: Callable[[], bool] | None,
        max_duration_s: float = math.inf,
    ) -> None:
        """Take over the two ends of a child.

        Args:
            output: Descriptor of the pipe that the child writes to.
            link: Socket by which the server says how the child ended.
            cancelled: Whether to give up.
            max_duration_s: The limit that the child refuses longer sources by, seconds.
        """
        self._max_frames = max_duration_s * SAMPLE_RATE + _SLACK_FRAMES
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
            DecoderCrashed: The child says what no source is.
        """
        kind, content = self._receive(time.monotonic() + within_s)
        if kind != SOURCE:
            raise DecoderCrashed
        self.source, self.tags = _source(content.tobytes())
        self.duration_s = self.source.duration_s

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        left = self._max_frames
        while True:
            kind, content = self._receive()
            if kind == END:
                return
            if kind != BLOCK or len(content) % _FRAME_BYTES:
                raise DecoderCrashed
            block = content.view(np.float32).reshape(-1, 2)
            left -= len(block)
            if left < 0 or not np.isfinite(block).all():
                raise DecoderCrashed
            yield block

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
            raise _error(content.tobytes())
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


def _source(content: bytes) -> tuple[SourceInfo, Mapping[str, str]]:
    """Return the properties and the kept tags of a source from the message of a child.

    Raises:
        DecoderCrashed: They are none.
    """
    found, tags = _parsed(content)
    if not isinstance(found, dict) or found.keys() != _IS_VALID.keys():
        raise DecoderCrashed
    if not all(is_valid(found[name]) for name, is_valid in _IS_VALID.items()):
        raise DecoderCrashed
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise DecoderCrashed
    return SourceInfo(**found), kept_tags(tags)


def _error(content: bytes) -> SeparationError:
    """Return the error that the message of a child names; another one where it may not report that."""
    name, message = _parsed(content)
    found = getattr(errors, name, None) if isinstance(name, str) else None
    if isinstance(found, type) and issubclass(found, _REPORTED) and isinstance(message, str):
        return found(message)
    return DecoderCrashed()


def _parsed(content: bytes) -> tuple[Any, Any]:
    """Return the two values of a message in JSON.

    Raises:
        DecoderCrashed: It has not two.
    """
    try:
        first, second = json.loads(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise DecoderCrashed from error
    return first, second
