"""The process that opens, probes and decodes one source, within limits of memory and processor time.

It reads one request from standard input, a line of JSON, and writes messages to standard output: a byte that
says what follows, its length in four bytes, and the content. When its parent dies, one of the two ends it.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Any

from stemline.separation.errors import SeparationError
from stemline.separation.media.decode import open_audio
from stemline.separation.media.tags import kept_tags
from stemline.separation.media.types import MediaLimits

SOURCE, BLOCK, END, ERROR = b"S", b"B", b"Z", b"E"
HEADER = struct.Struct(">cI")

#: Exit status after the memory limit was reached.
OUT_OF_MEMORY = 77

_OUTPUT = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve one request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    line = sys.stdin.readline()
    if not line:
        return
    request = json.loads(line)
    _limit(request["memory_bytes"], request["cpu_s"])
    try:
        _serve(request)
    except SeparationError as error:
        _send(ERROR, json.dumps([type(error).__name__, error.message]).encode())
    except BrokenPipeError:
        os._exit(1)
    except MemoryError:  # av.MemoryError as well
        os._exit(OUT_OF_MEMORY)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            os._exit(OUT_OF_MEMORY)
        raise


def _serve(request: dict[str, Any]) -> None:
    with open_audio(
        Path(request["path"]),
        limits=MediaLimits(**request["limits"]),
        track=request["track"],
        keep_video_origin=request["keep_video_origin"],
    ) as audio:
        _send(SOURCE, json.dumps([dataclasses.asdict(audio.source), kept_tags(audio.tags)]).encode())
        for block in audio:
            _send(BLOCK, block.data.cast("B"))
    _send(END, b"")


def _send(kind: bytes, content: bytes | memoryview) -> None:
    _write(HEADER.pack(kind, len(content)))
    _write(content)


def _write(content: bytes | memoryview) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(_OUTPUT, view) :]


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """Limit what this process may take from now on."""
    with Path("/proc/self/statm").open() as file:
        used = int(file.read().split()[0]) * _PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))


if __name__ == "__main__":
    main()
