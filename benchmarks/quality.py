"""How well voice and background are found in mixes with known stems, Stemline beside Spleeter.

    python -m benchmarks.quality [--songs 4] [--seconds 26]

`make bench-quality` runs it. The mixes are made by code: tests/golden/song.py, one per seed, and the demo's
song, whose voice is a speech synthesiser's. Scores are BSS Eval's (museval) over the full band, medians over
windows of one second. Written to benchmarks/results/quality.md.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import statistics
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import structlog

from benchmarks import spleeter_home
from benchmarks.report import Report
from stemline.models.catalogue import MODELS
from stemline.models.download import pull
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.extension import Extension
from stemline.separation.separator import Separator
from stemline.testing.song import demo_song
from tests.golden import song

REPOSITORY = Path(__file__).parent.parent
#: Extension and context of what is compared.
SYSTEMS = {
    "Stemline": (Extension.AVERAGE, 0),
    "Stemline, zeros": (Extension.ZEROS, 0),
    "Stemline, context 64": (Extension.AVERAGE, 64),
}
MEASURES = ("SDR", "SIR", "SAR")


def songs(count: int, seconds: float) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a name and the truth, (2, samples, 2): voice and background."""
    for seed in range(count):
        parts = song.stems(seconds, seed)
        background = song.mix({name: part for name, part in parts.items() if name != "vocals"})
        yield f"seed{seed}", np.stack([parts["vocals"], background])
    demo = demo_song()
    yield "demo", np.stack([samples_of(demo.voice), samples_of(demo.background)])


def samples_of(wav: bytes) -> np.ndarray:
    """Return the samples (samples, 2) of a 16-bit stereo WAV."""
    with wave.open(io.BytesIO(wav)) as file:
        content = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (content.reshape(-1, 2) / 32768.0).astype(np.float32)


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Write every song and what Stemline makes of it."""
    engine = load_engine("2stems")
    for name, truth in songs(options.songs, options.seconds):
        place = folder / name
        place.mkdir()
        mix = truth.sum(axis=0, dtype=np.float32)
        np.save(place / "mix.npy", mix)
        np.save(place / "truth.npy", truth)
        np.save(place / "the mix itself.npy", np.stack([mix, mix]))
        for system, (extension, context) in SYSTEMS.items():
            with Separator(engine, extension=extension, context=context) as separator:
                pieces = list(separator.separate([mix]))
            stems = [np.concatenate([piece[stem] for piece in pieces]) for stem in engine.network.instruments]
            np.save(place / f"{system}.npy", np.stack(stems))


def score(folder: Path, home: dict[str, str]) -> list[dict[str, object]]:
    """Run Spleeter and BSS Eval in Spleeter's environment."""
    command = [str(spleeter_home.REFERENCE), "-m", "benchmarks.quality_reference", str(folder)]
    done = subprocess.run(command, env=home, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("SCORE ")]


def fill(report: Report, scores: list[dict[str, object]]) -> None:
    """Put a row for each system into a report: the mean over the songs, dB; and every score."""
    rows = []
    for system in sorted({str(each["system"]) for each in scores}):
        own = [each for each in scores if each["system"] == system]
        row = [system]
        for number, stem in enumerate(("voice", "back")):
            for measure in MEASURES:
                values = [float(each[measure][number]) for each in own]  # type: ignore[index]
                row.append(f"{statistics.mean(values):.2f}")
                report.add(
                    f"{system}.{stem}.{measure}", values, unit="dB", label=f"{system}: {stem} {measure}"
                )
        rows.append(row)
    head = ["dB", *(f"{stem} {measure}" for stem in ("voice", "back") for measure in MEASURES)]
    report.table("means", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=26.0)
    options = parser.parse_args()
    if not spleeter_home.REFERENCE.exists():
        raise SystemExit("Spleeter is not installed: `make reference`.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    weights = pull(WeightStore(), MODELS["2stems"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "songs"
        folder.mkdir()
        prepare(folder, options)
        scores = score(folder, spleeter_home.environment(Path(scratch) / "spleeter", weights))
    report = Report("quality", "BSS Eval of voice and background", ["benchmarks/quality.py"])
    fill(report, scores)
    report.notes.append(
        f"Means over the demo's song and {options.songs} mixes of {options.seconds:.0f} s with known stems."
    )
    report.write()


if __name__ == "__main__":
    main()
