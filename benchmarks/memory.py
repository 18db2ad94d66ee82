"""Whether memory depends on the length: an hour through all queues of a separation, beside a minute.

The engine is a stand-in that answers at once, so that the queues, not the networks, set the pace; the source
is silence in a file that takes no room, and the stems are flac. Each length runs in a process of its own.

    python -m benchmarks.memory [--seconds 60,3600]

The status is 1 if the longest takes over 5 % more than the shortest.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import REPOSITORY, Report
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.network import Network
from stemline.separation.pipeline import separate_file
from tests.support.memory import peak

MAX_RATIO = 1.05
_RATE = 44_100


class Even:
    """An engine that shares everything evenly, at once."""

    device = "stand-in"
    any_length = True
    in_flight = 2

    def __init__(self, stems: int = 2) -> None:
        self.network = Network("stand-in", tuple(f"stem{number}" for number in range(stems)))

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the same share for each stem."""
        del alone, level
        return [np.full_like(magnitude, 1 / len(self.network.instruments)) for _ in self.network.instruments]


def silence(path: Path, seconds: int) -> Path:
    """Write a stereo wav of 16 bits whose samples are a hole in the file."""
    size = seconds * _RATE * 4
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, _RATE, _RATE * 4, 4, 16)
    with path.open("wb") as file:
        file.write(
            b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form + b"data" + struct.pack("<I", size)
        )
        file.truncate(44 + size)
    return path


def separate(seconds: int) -> None:
    """Separate so many seconds, and print the peak of this process's memory, KiB."""
    with tempfile.TemporaryDirectory() as folder:
        source = silence(Path(folder) / "source.wav", seconds)
        engine = Even()
        outputs = {
            name: OutputSpec(Path(folder) / f"{name}.flac", "flac") for name in engine.network.instruments
        }
        separate_file(engine, source, outputs, limits=MediaLimits(1e9, 1 << 60))
    print(peak())


def main() -> int:
    """Measure each length in a process of its own; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", default="60,3600")
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        separate(asked.one)
        return 0
    report = Report("memory", "Peak memory by the length of the source", ["benchmarks/memory.py"])
    peaks = []
    for seconds in map(int, asked.seconds.split(",")):
        command = [sys.executable, "-m", "benchmarks.memory", "--one", str(seconds)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) / 1024)
        report.add(f"peak_{seconds}", [peaks[-1]], unit="MiB", label=f"{seconds:,} s")
    ratio = peaks[-1] / peaks[0]
    report.add("ratio", [ratio], unit="times", label="the last against the first")
    report.write()
    return 0 if ratio <= MAX_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
