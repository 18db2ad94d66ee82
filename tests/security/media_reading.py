"""Reads hostile media as a worker does, and watches the process that decodes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stemline.separation.decoder import Decoder, DecodingLimits
from stemline.separation.errors import Cancelled, DecoderCrashed, SeparationError
from stemline.separation.media import MediaLimits
from tests.security.media_files import CHANNELS, METADATA, SILENCE

#: More than three times what a source may have.
METADATA_BYTES: Final = 220 << 20
HOURS_S: Final = 3 * 3600
#: Beside the libraries, which all children share.
MAX_MEMORY_BYTES: Final = DecodingLimits().memory_bytes
MAX_S: Final = 180
CASES: Final = {
    **{name: (suffix, write, METADATA_BYTES) for name, (suffix, write) in METADATA.items()},
    **{name: (suffix, write, HOURS_S) for name, (suffix, write) in SILENCE.items()},
    **{name: (suffix, write, 65_535) for name, (suffix, write) in CHANNELS.items()},
}


@dataclass
class Reading:
    """What reading a file to its end came to."""

    seconds: float = 0.0
    peak_bytes: int = 0
    error: SeparationError | None = None

    @property
    def faults(self) -> list[str]:
        """Which promises were broken."""
        found = []
        if isinstance(self.error, DecoderCrashed | Cancelled):
            found.append(f"it ended as {type(self.error).__name__}")
        if self.peak_bytes > MAX_MEMORY_BYTES:
            found.append(f"memory grew by {self.peak_bytes / 2**20:.0f} MiB")
        if self.seconds > MAX_S:
            found.append(f"it took {self.seconds:.0f} s")
        return found


def children(decoder: Decoder) -> list[int]:
    """The processes that decode now."""
    server = decoder._server
    if server is None:
        return []
    pid = server.process.pid
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid: int) -> int:
    """Memory of a process that it does not share with its server, bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


def read(
    decoder: Decoder, path: Path, limits: MediaLimits, *, cancel_after_s: float | None = None
) -> Reading:
    """Read a file to its end, or until it is cancelled."""
    result, over = Reading(), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            try:
                result.peak_bytes = max([result.peak_bytes, *map(memory, children(decoder))])
            except OSError:  # it is over
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()

    def cancelled() -> bool:
        return cancel_after_s is not None and time.monotonic() > began + cancel_after_s

    try:
        with decoder.open(path, limits=limits, cancelled=cancelled) as audio:
            for _ in audio:
                pass
    except SeparationError as error:
        result.error = error
    finally:
        result.seconds = time.monotonic() - began
        over.set()
        watcher.join()
    return result
