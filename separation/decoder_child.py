"""The process that opens, probes and decodes one source, within limits of memory and processor time.

It is forked by the :mod:`~stemline.separation.decoder_server` and writes messages to a pipe: a byte that says
what follows, its length in four bytes, and the content.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import json
import math
import os
import resource
import signal
import struct
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from stemline.separation.confinement import confine
from stemline.separation.errors import SeparationError
from stemline.separation.media.decode import open_audio
from stemline.separation.media.tags import kept_tags
from stemline.separation.media.types import MediaLimits
from stemline.separation.network import SAMPLE_RATE

SOURCE, BLOCK, END, ERROR = b"S", b"B", b"Z", b"E"
HEADER = struct.Struct(">cI")

#: Bytes of a source for which opening it may take a second more.
BYTES_PER_CPU_S = 16 << 20
#: Processor time that a second of audio may take, seconds; the slowest codecs take a tenth of it.
CPU_S_PER_S = 0.2

#: Exit status after the memory limit was reached.
OUT_OF_MEMORY = 77

_OUTPUT, _ERRORS = 1, 2
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1


def run(request: dict[str, Any], output: int, *, server: int) -> NoReturn:
    """Serve one request in this forked process, and end it.

    Args:
        request: What to decode, and the limits; see `Decoder.open`.
        output: Descriptor of the pipe to write to.
        server: Process id of the server, read before the fork.
    """
    status = 1
    try:
        _detach(output, server)
        _limit_memory(request["memory_bytes"])
        confine(Path(request["path"]))
        status = _respond(request)
    except BaseException:  # noqa: BLE001 - the server's loop must not go on in this process
        # Escaped: what a file holds ends in messages.
        sys.stderr.writelines(f"{line!a}\n" for line in traceback.format_exc().splitlines())
    finally:
        os._exit(status)


def _detach(output: int, server: int) -> None:
    """Keep nothing of the server but the output, and die with it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it died before the call
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(output, _OUTPUT)
    for link in list(Path("/proc/self/fd").iterdir()):
        if int(link.name) > _ERRORS:
            with suppress(OSError):  # the folder's own is closed already
                os.close(int(link.name))


def _respond(request: dict[str, Any]) -> int:
    """Serve the request; return the exit status."""
    try:
        _serve(request)
    except SeparationError as error:
        _send(ERROR, json.dumps([type(error).__name__, error.message]).encode())
    except BrokenPipeError:
        return 1
    except MemoryError:  # av.MemoryError as well
        return OUT_OF_MEMORY
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return OUT_OF_MEMORY
        raise
    return 0


def _serve(request: dict[str, Any]) -> None:
    path = Path(request["path"])
    time = _ProcessorTime(request["start_cpu_s"], path.stat().st_size, request["cpu_s"])
    with open_audio(
        path,
        limits=MediaLimits(**request["limits"]),
        track=request["track"],
        keep_video_origin=request["keep_video_origin"],
    ) as audio:
        _send(SOURCE, json.dumps([dataclasses.asdict(audio.source), kept_tags(audio.tags)]).encode())
        for block in audio:
            _send(BLOCK, block.data.cast("B"))
            time.extend(len(block) / SAMPLE_RATE)
    _send(END, b"")


def _send(kind: bytes, content: bytes | memoryview) -> None:
    _write(HEADER.pack(kind, len(content)))
    _write(content)


def _write(content: bytes | memoryview) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(_OUTPUT, view) :]


class _ProcessorTime:
    """Limits the processor time of this process: a small file must not take hours before it sounds."""

    def __init__(self, start_s: int, size: int, max_s: int) -> None:
        """Allow what opening a source takes.

        Args:
            start_s: For a source of any size, seconds.
            size: Bytes of the source.
            max_s: Beyond which nothing extends it, seconds.
        """
        self._allowed_s = start_s + size / BYTES_PER_CPU_S
        self._max_s = max_s
        self._limit_s = 0
        self.extend(0)

    def extend(self, audio_s: float) -> None:
        """Allow what decoding so much audio takes."""
        self._allowed_s += audio_s * CPU_S_PER_S
        limit_s = min(math.ceil(self._allowed_s), self._max_s)
        if limit_s > self._limit_s:
            self._limit_s = limit_s
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, self._max_s + 5))


def _limit_memory(memory_bytes: int) -> None:
    """Limit what this process may take from now on."""
    with Path("/proc/self/statm").open() as file:
        used = int(file.read().split()[0]) * _PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
