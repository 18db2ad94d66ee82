"""Whether memory depends on the length with networks of other kinds at their real size, and what audio costs.

Each length runs in a process of its own, on noise, for one stem, which is written as flac.

    python -m benchmarks.networks MODELS_DIR [--models htdemucs,mdx] [--seconds 30,60,120]

The models are added to MODELS_DIR before; `make bench-networks` makes them with random weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from benchmarks.report import REPOSITORY, Report
from stemline.models.loading import load_engine
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import separate_file
from tests.support.memory import peak

_RATE = 44_100
_NOISE_S = 10


def noise(path: Path, seconds: int) -> Path:
    """Write a stereo wav of 16 bits: ten seconds of noise again and again."""
    samples = np.random.default_rng(0).normal(0, 3000, (_NOISE_S * _RATE, 2)).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        for begin in range(0, seconds, _NOISE_S):
            file.writeframes(samples[: min(_NOISE_S, seconds - begin) * _RATE * 4])
    return path


def separate(directory: Path, model: str, seconds: int) -> None:
    """Separate so many seconds; print the peak of this process's memory, KiB, and its processor time, s."""
    engine = load_engine(model, device="cpu", directory=directory)
    with tempfile.TemporaryDirectory() as folder:
        source = noise(Path(folder) / "source.wav", seconds)
        began = time.process_time()
        outputs = {"vocals": OutputSpec(Path(folder) / "vocals.flac", "flac")}
        separate_file(engine, source, outputs, limits=MediaLimits(1e9, 1 << 60))
        print(peak(), time.process_time() - began)


def main() -> None:
    """Measure each model at each length in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--models", default="htdemucs,mdx")
    parser.add_argument("--seconds", default="30,60,120")
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--name", default="networks", help="of the files in benchmarks/results")
    asked = parser.parse_args()
    if asked.one:
        separate(asked.directory, asked.models, asked.one)
        return
    report = Report(asked.name, "Networks of other kinds at their real size", ["benchmarks/networks.py"])
    lengths = [int(each) for each in asked.seconds.split(",")]
    for model in asked.models.split(","):
        peaks, spent = [], []
        for seconds in lengths:
            command = [sys.executable, "-m", "benchmarks.networks", str(asked.directory)]
            command += ["--models", model, "--one", str(seconds)]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            memory, processor_s = map(float, done.stdout.split()[-2:])
            peaks.append(memory / 1024)
            spent.append(processor_s)
            print(f"{model}, {seconds} s: {peaks[-1]:.0f} MiB, {processor_s:.0f} s", flush=True)
            report.add(
                f"{model}_peak_{seconds}", [peaks[-1]], unit="MiB", label=f"{model}, peak for {seconds} s"
            )
        report.add(
            f"{model}_ratio",
            [peaks[-1] / peaks[0]],
            unit="times",
            label=f"{model}, the last peak to the first",
        )
        more_s = lengths[-1] - lengths[0]
        cost = (spent[-1] - spent[0]) / more_s
        report.add(f"{model}_cost", [cost], unit="s", label=f"{model}, processor time for a second of audio")
    report.write()


if __name__ == "__main__":
    main()
