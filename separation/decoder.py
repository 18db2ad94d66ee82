"""Decodes sources in child processes with limits, so that a hostile file harms nothing but its own job."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stemline.separation import errors
from stemline.separation.decoder_child import BLOCK, END, ERROR, HEADER, OUT_OF_MEMORY, SOURCE
from stemline.separation.errors import Cancelled, DecoderCrashed, DecodingTooExpensive, SeparationError
from stemline.separation.media.types import MediaLimits, SourceInfo

#: How often a wait for the child asks whether the separation was cancelled, seconds.
_POLL_S = 0.2
#: Longest message of a child: more than a block of samples.
_MESSAGE_MAX_BYTES = 4 << 20
#: How long a child that closed its output may take to exit, seconds.
_EXIT_S = 10.0
_FRAME_BYTES = 8
_COMMAND = (sys.executable, "-P", "-m", "stemline.separation.decoder_child")
#: What Python needs; the other variables hold credentials, which the decoder of a hostile file must not see.
_KEPT_VARIABLES = frozenset({"PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL"})
#: Libraries that would start a thread for each core, which count as memory.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class Audio(Protocol):
    """What the separation reads: see `AudioSource`."""

    source: SourceInfo
    duration_s: float | None
    tags: Mapping[str, str]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield (frames, 2) blocks at 44,100 Hz."""

    def interrupt(self) -> None:
        """Let a thread that waits for the next block give up; may be called from another one."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """What decoding one source may take: memory in bytes, processor time in seconds."""

    memory_bytes: int = 512 << 20
    cpu_s: int = 900


class Decoder:
    """Starts the child processes, each in advance, so that nobody waits for its imports."""

    def __init__(self, limits: DecodingLimits | None = None) -> None:
        self._limits = limits or DecodingLimits()
        self._lock = threading.Lock()
        self._next: subprocess.Popen[bytes] | None = None

    def open(
        self,
        path: Path,
        *,
        limits: MediaLimits,
        track: str | None = None,
        keep_video_origin: bool = False,
        cancelled: Callable[[], bool] | None = None,
    ) -> IsolatedAudio:
        """Open a source as `open_audio` does, in a process of its own.

        Raises:
            Cancelled: `cancelled` returned True, here or while iterating; within a second.
            DecodingTooExpensive: A limit of memory or processor time was reached; likewise.
            DecoderCrashed: The process crashed; likewise.
            SeparationError: Whatever `open_audio` raises.
        """
        request = {
            "path": str(path.absolute()),
            "limits": asdict(limits),
            "track": track,
            "keep_video_origin": keep_video_origin,
            **asdict(self._limits),
        }
        with self._lock:
            child, self._next = self._next or _start(), None
        audio = IsolatedAudio(child, cancelled)
        try:
            audio.begin(request)
        except BaseException:
            audio.close()
            raise
        with self._lock:
            self._next = self._next or _start()
        return audio

    def close(self) -> None:
        """End the process that waits for the next source."""
        with self._lock:
            child, self._next = self._next, None
        if child is not None:
            _end(child)


class IsolatedAudio:
    """The audio of a source that a child process decodes; iterating yields the blocks of an `AudioSource`.

    Attributes:
        source, duration_s, tags: See `AudioSource`; of the tags, those that stems keep.
    """

    source: SourceInfo
    duration_s: float | None
    tags: Mapping[str, str]

    def __init__(self, child: subprocess.Popen[bytes], cancelled: Callable[[], bool] | None) -> None:
        self._child = child
        self._cancelled = cancelled or (lambda: False)
        self._closed = threading.Event()
        assert child.stdout is not None  # noqa: S101 - it was started with pipes
        self._output = child.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, request: Mapping[str, object]) -> None:
        """Send the request and wait until the source is open."""
        assert self._child.stdin is not None  # noqa: S101 - it was started with pipes
        with suppress(BrokenPipeError):  # it died; reading says how
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        kind, content = self._receive()
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
        self._closed.set()

    def close(self) -> None:
        """End the child."""
        self.interrupt()
        _end(self._child)

    def _receive(self) -> tuple[bytes, NDArray[np.uint8]]:
        """Return the next message; raise the error that it reports."""
        kind, length = HEADER.unpack(self._read(HEADER.size).tobytes())
        if length > _MESSAGE_MAX_BYTES:
            raise DecoderCrashed
        content = self._read(length)
        if kind == ERROR:
            name, message = json.loads(content.tobytes())
            found = getattr(errors, name, None)
            if isinstance(found, type) and issubclass(found, SeparationError):
                raise found(message)
            raise DecoderCrashed
        return kind, content

    def _read(self, length: int) -> NDArray[np.uint8]:
        buffer = np.empty(length, np.uint8)
        view = buffer.data
        while view:
            if self._cancelled() or self._closed.is_set():
                raise Cancelled
            if not self._poll.poll(_POLL_S * 1000):
                continue
            count = os.readv(self._output, [view])
            if count == 0:
                raise self._death()
            view = view[count:]
        return buffer

    def _death(self) -> SeparationError:
        """Return the error that the end of the child means."""
        try:
            status = self._child.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            return DecoderCrashed()
        if status in {OUT_OF_MEMORY, -signal.SIGKILL}:
            return DecodingTooExpensive("Decoding the source takes more memory than this service allows.")
        if status == -signal.SIGXCPU:
            return DecodingTooExpensive(
                "Decoding the source takes more processor time than this service allows."
            )
        return DecoderCrashed()


def _start() -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
    environment = {**kept, **_ONE_THREAD}
    return subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
