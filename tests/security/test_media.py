"""Hostile media: memory and time are bounded, whatever a file holds and whichever container it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stemline.separation.decoder import Decoder, DecodingLimits
from stemline.separation.errors import Cancelled, DecoderCrashed, SeparationError
from stemline.separation.media import MediaLimits
from tests.security.media_files import CHANNELS, METADATA, SILENCE

#: More than three times what a source may have.
METADATA_BYTES = 220 << 20
HOURS_S = 3 * 3600
LIMITS = MediaLimits(max_duration_s=600, max_bytes=10**9)
#: Beside the libraries, which all children share.
MAX_MEMORY_BYTES = DecodingLimits().memory_bytes
MAX_S = 60
CASES = {
    **{name: (suffix, write, METADATA_BYTES) for name, (suffix, write) in METADATA.items()},
    **{name: (suffix, write, HOURS_S) for name, (suffix, write) in SILENCE.items()},
    **{name: (suffix, write, 65_535) for name, (suffix, write) in CHANNELS.items()},
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """A decoder with the service's limits."""
    decoder = Decoder()
    yield decoder
    decoder.close()


@dataclass
class Reading:
    """What reading a file to its end came to."""

    seconds: float = 0.0
    peak_bytes: int = 0
    error: SeparationError | None = None


def children(decoder: Decoder) -> list[int]:
    """The processes that decode now."""
    pid = decoder._server.process.pid
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid: int) -> int:
    """Memory of a process that it does not share with its server, bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


def read(decoder: Decoder, path: Path, cancel_after_s: float | None = None) -> Reading:
    """Read a file to its end, and watch the process that does."""
    result, over = Reading(), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            try:
                result.peak_bytes = max([result.peak_bytes, *map(memory, children(decoder))])
            except (OSError, AttributeError):  # it has not begun, or is over
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    cancelled = lambda: cancel_after_s is not None and time.monotonic() > began + cancel_after_s
    try:
        with decoder.open(path, limits=LIMITS, cancelled=cancelled) as audio:
            for _ in audio:
                pass
    except SeparationError as error:
        result.error = error
    finally:
        result.seconds = time.monotonic() - began
        over.set()
        watcher.join()
    return result


@pytest.mark.parametrize("name", CASES)
def test_hostile_media(name: str, decoder: Decoder, tmp_path: Path):
    """A file is read, or refused without a crash, within bounds; a cancel ends it within five seconds."""
    suffix, write, size = CASES[name]
    path = tmp_path / f"in.{suffix}"
    write(path, size)

    found = read(decoder, path)

    assert not isinstance(found.error, DecoderCrashed | Cancelled)
    assert found.peak_bytes < MAX_MEMORY_BYTES
    assert found.seconds < MAX_S
    if found.seconds > 0.5:
        cancelled = read(decoder, path, cancel_after_s=0.1)
        assert isinstance(cancelled.error, Cancelled | type(found.error))
        assert cancelled.seconds < 5
    assert not children(decoder)
