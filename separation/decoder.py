"""Decodes sources in child processes with limits, so that a hostile file harms nothing but its own job."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import DecoderLost
from stemline.separation.isolated_audio import IsolatedAudio
from stemline.separation.media.types import MediaLimits, SourceInfo

#: What Python needs; the other variables hold credentials, which the decoder of a hostile file must not see.
_KEPT_VARIABLES = frozenset({"PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL"})
#: Libraries that would start a thread for each core: the server forks, and threads count as memory.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
#: Room of the pipe that samples come from: two blocks, so that the child seldom waits.
_PIPE_BYTES = 1 << 19
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)
#: How long the server may take to end, seconds.
_EXIT_S = 5.0


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
    """What decoding one source may take.

    Attributes:
        memory_bytes: Memory of the child beside what the server has, bytes.
        cpu_s: Processor time, seconds.
        start_cpu_s: The same until the source is open, beside a second for each 16 MiB; decoding adds 0.2 s
            for each second of audio.
        open_s: Time until the source is open, by the clock, seconds.
    """

    memory_bytes: int = 512 << 20
    cpu_s: int = 900
    start_cpu_s: int = 10
    open_s: float = 120.0


class Decoder:
    """Opens sources in processes of their own, which a server forks; a server that died is replaced."""

    def __init__(self, limits: DecodingLimits | None = None) -> None:
        self._limits = limits or DecodingLimits()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def start(self) -> None:
        """Start the server without waiting for it, so that the first source need not wait for its imports."""
        with self._lock:
            self._server = self._server or _Server()

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
            DecoderLost: The server of the process died, or could not start it; likewise.
            SeparationError: Whatever `open_audio` raises.
        """
        request = {
            "path": str(path.absolute()),
            "limits": asdict(limits),
            "track": track,
            "keep_video_origin": keep_video_origin,
            "memory_bytes": self._limits.memory_bytes,
            "cpu_s": self._limits.cpu_s,
            "start_cpu_s": self._limits.start_cpu_s,
        }
        audio = self._fork(request, cancelled, limits.max_duration_s)
        try:
            audio.begin(self._limits.open_s)
        except BaseException:
            audio.close()
            raise
        return audio

    def close(self) -> None:
        """End the server and all that it forked."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def _fork(
        self, request: Mapping[str, Any], cancelled: Callable[[], bool] | None, max_duration_s: float
    ) -> IsolatedAudio:
        """Have a child forked."""
        link, servers_link = socket.socketpair()
        output, childs_output = os.pipe()
        with suppress(OSError):  # the user has too many large pipes already
            fcntl.fcntl(output, _SET_PIPE_SIZE, _PIPE_BYTES)
        audio = IsolatedAudio(output, link, cancelled, max_duration_s)
        try:
            with servers_link:
                self._send(json.dumps(request).encode(), [childs_output, servers_link.fileno()])
        except BaseException:
            audio.close()
            raise
        finally:
            os.close(childs_output)
        return audio

    def _send(self, request: bytes, descriptors: list[int]) -> None:
        """Send a request to the server, or to a new one."""
        with self._lock:
            for _ in range(2):
                self._server = self._server or _Server()
                try:
                    self._server.send(request, descriptors)
                except OSError:
                    self._server.close()
                    self._server = None
                else:
                    return
        raise DecoderLost


class _Server:
    """A running server."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                (sys.executable, "-P", "-m", "stemline.separation.decoder_server", str(number)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**kept, **_ONE_THREAD},
                pass_fds=[number],
            )

    def send(self, request: bytes, descriptors: list[int]) -> None:
        """Send a request.

        Raises:
            OSError: The server is dead.
        """
        socket.send_fds(self._requests, [request], descriptors)

    def close(self) -> None:
        """End it and its children."""
        self._requests.close()
        try:
            self.process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
