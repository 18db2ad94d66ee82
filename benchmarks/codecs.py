"""What the codecs cost and what they change: `make bench-codecs`, or one part of it.

python -m benchmarks.codecs [levels|cost|lame|aac|jobs]
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.masking import noise_to_mask_db
from benchmarks.report import Report
from stemline.models.catalogue import MODELS
from stemline.models.download import pull
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.media import (
    MediaLimits,
    OutputSpec,
    SourceInfo,
    StemWriter,
    aac,
    mp3,
    open_audio,
)
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.pipeline import separate_file
from stemline.testing import stems
from stemline.testing.song import demo_song

SECONDS = 240
#: Length of the stems on which aac coders are compared, s; their cost is scaled to SECONDS.
STEM_SECONDS = 4
#: Samples by which FFmpeg's aac is late at 44,100 Hz.
AAC_DELAY = 1024
#: Constants of the aac encoder that force a coder.
AAC_CHOICES: dict[str, dict[str, Any]] = {
    "fast": {"FAST_MAX_KBPS": math.inf, "_bearable_db": lambda _: math.inf},
    "twoloop": {"FAST_MAX_KBPS": 0, "find_tones": lambda _: None},
    "chosen": {"FAST_MAX_KBPS": aac.FAST_MAX_KBPS},
}
#: Stems on which an error is heard as a wrong level or a foreign tone.
TONAL = ("sine at full scale", "808 bass", "chord", "sparse notes")
#: From the slowest to the fastest that is compared.
LAME_QUALITIES = (2, 3, 5, 7)
#: Coders that are compared in whole jobs.
JOB_CODERS = ("twoloop", "chosen")
REPEATS = 3
BLOCK = 32_768
LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**10)
SOURCE = SourceInfo("pcm_s16le", SAMPLE_RATE, 2, 192, "wav", float(SECONDS))

Audio = NDArray[np.float32]


def song() -> Audio:
    """Return (frames, 2): chords with overtones and a beat of noise, wide, with peaks below 0.9."""
    frames = 8 * SAMPLE_RATE
    time_s = np.arange(frames) / SAMPLE_RATE
    rng = np.random.default_rng(0)
    left, right = np.zeros(frames), np.zeros(frames)
    for number, pitch in enumerate((55.0, 220.0, 277.2, 329.6, 440.0, 554.4)):
        for overtone in range(1, 12):
            partial = np.sin(2 * np.pi * pitch * overtone * time_s + rng.uniform(0, 6)) / overtone**1.3
            left += partial * (0.3 + 0.1 * (number % 3))
            right += partial * (0.5 - 0.1 * (number % 3))
    beat = np.exp(-8 * (time_s % 0.5)) * rng.standard_normal(frames)
    both = np.stack([left + beat, right + 0.8 * beat + 0.05 * rng.standard_normal(frames)], axis=1)
    both *= 0.89 / np.abs(both).max()
    return np.tile(both.astype(np.float32), (SECONDS // 8, 1))


def cpu_seconds(work: Callable[[], None], repeats: int = REPEATS) -> float:
    """Return the CPU time of the median of a few runs."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return sorted(times)[repeats // 2]


def blocks(samples: Audio) -> Iterator[Audio]:
    for at in range(0, len(samples), BLOCK):
        yield samples[at : at + BLOCK]


def write(samples: Audio, spec: OutputSpec) -> None:
    writer = StemWriter(spec, tags={}, source=SOURCE)
    for block in blocks(samples):
        writer.write(block)
    writer.close()


def read(path: Path) -> None:
    with open_audio(path, limits=LIMITS) as audio:
        for _ in audio:
            pass


def level_table(report: Report) -> None:
    """Add by how much the lossy encoders change the level."""
    samples = song()[: 8 * SAMPLE_RATE]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, rates in (
            ("mp3", (128, 160, 192, 224, 256, 320)),
            ("aac", (64, 128, 192, 320)),
            ("amr", (12,)),
        ):
            for kbps in rates:
                path = Path(folder) / f"stem.{codec}"
                write(samples, OutputSpec(path, codec, None, kbps))
                rows.append((f"{codec} {kbps} kbit/s", f"{level_db(samples, path):+.2f} dB"))
    report.table("levels", ("File", "change"), rows)


def level_db(samples: Audio, path: Path) -> float:
    """Return the loudness of a file relative to that of its samples, mono, below the cut-off of amr, dB."""
    with open_audio(path, limits=LIMITS) as audio:
        heard = np.concatenate(list(audio))
    powers = [np.square(np.abs(np.fft.rfft(each.mean(axis=1), 1 << 20))) for each in (heard, samples)]
    band = slice(round(200 / SAMPLE_RATE * (1 << 20)), round(3000 / SAMPLE_RATE * (1 << 20)))
    return float(10 * np.log10(powers[0][band].sum() / powers[1][band].sum()))


def aac_table(report: Report) -> None:
    """Add level, error, log-spectral distance and cost of the aac coders on stems of every kind."""
    head = ("Stem", "kbit/s", f"level, dB: {', '.join(AAC_CHOICES)}", "error, dB", "distance, dB", "CPU s")
    table = []
    worst: dict[int, list[float]] = {}
    for kind, make in stems.KINDS.items():
        samples = make(STEM_SECONDS)
        for kbps in (64, 128, 192, 320):
            rows = []
            for constants in AAC_CHOICES.values():
                with patch.multiple(aac, **constants), tempfile.TemporaryDirectory() as folder:
                    rows.append(aac_figures(samples, kbps, Path(folder) / "stem.aac"))
            if kind in TONAL:
                errors = [error for _, error, _, _ in rows]
                worst[kbps] = [*map(max, worst.get(kbps, errors), errors)]
            cells = [
                " / ".join(f"{value:.{digits}f}" for value in column)
                for digits, column in zip((2, 1, 1, 1), zip(*rows, strict=True), strict=True)
            ]
            table.append((kind, kbps, *cells))
    report.table("aac", head, table)
    lines = [(kbps, *(f"{error:.1f}" for error in errors)) for kbps, errors in worst.items()]
    report.table("worst", ("kbit/s", *AAC_CHOICES), lines)
    report.notes.append(f"One run of {STEM_SECONDS} s each; CPU seconds are scaled to {SECONDS} s.")


def aac_figures(samples: Audio, kbps: int, path: Path) -> tuple[float, float, float, float]:
    """Return level, error and log-spectral distance of aac, dB, and CPU seconds for SECONDS."""
    spec = OutputSpec(path, "aac", None, kbps)
    wrote = cpu_seconds(partial(write, samples, spec), repeats=1) * SECONDS / STEM_SECONDS
    with open_audio(path, limits=LIMITS) as audio:
        heard = np.concatenate(list(audio))[AAC_DELAY : AAC_DELAY + len(samples)]
    truth = samples[: len(heard)]
    level, error = decibels(heard, truth), decibels(heard - truth, truth)
    return level, error, log_spectral_distance(heard, truth), wrote


def decibels(samples: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the energy of samples relative to that of a reference, dB."""
    ratio = np.square(samples, dtype=np.float64).sum() / np.square(reference, dtype=np.float64).sum()
    return float(10 * np.log10(ratio))


def log_spectral_distance(one: Audio, other: Audio) -> float:
    """Return the mean distance of short-time spectra, dB, down to 80 dB below the loudest bin."""
    powers = [_powers(samples) for samples in (one, other)]
    floor = powers[1].max() * 1e-8
    difference = 10 * np.log10((powers[0] + floor) / (powers[1] + floor))
    return float(np.sqrt(np.square(difference).mean(axis=1)).mean())


def _powers(samples: Audio) -> NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples[:, 0], 2048)[::1024]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(2048), axis=1)) ** 2)


def job_table(report: Report, seconds: int, rounds: int) -> None:
    """Add what a whole job costs with stems in wav and in aac by two coders, which take turns."""
    pull(WeightStore(), MODELS["2stems"])
    engine = load_engine("2stems", device="cpu")
    jobs = [("wav", None, "chosen"), *(("aac", kbps, coder) for kbps in (192, 320) for coder in JOB_CODERS)]
    times: dict[Any, list[tuple[float, float]]] = {job: [] for job in jobs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "song.mp3"
        write(demo_mix(seconds), OutputSpec(source, "mp3", None, 192))
        for number in range(rounds + 1):
            for codec, kbps, coder in jobs:
                outputs = {
                    stem: OutputSpec(folder / f"{stem}.{codec}", codec, None, kbps)
                    for stem in engine.network.instruments
                }
                used, started = time.process_time(), time.perf_counter()
                with patch.multiple(aac, **AAC_CHOICES[coder]):
                    separate_file(engine, source, outputs, limits=LIMITS)
                if number:  # the first round warms up
                    spent = time.process_time() - used, time.perf_counter() - started
                    times[codec, kbps, coder].append(spent)
    rows = []
    for (codec, kbps, coder), found in times.items():
        label = f"{codec} {kbps} kbit/s, {coder}" if kbps else codec
        cells = [
            (f"{statistics.median(one):.2f}", f"{min(one):.2f} to {max(one):.2f}")
            for one in zip(*found, strict=True)
        ]
        rows.append((label, *cells[0], *cells[1]))
    head = ("Stems", "CPU s, median", "range", "wall s, median", "range")
    report.table("jobs", head, rows)
    report.notes.append(
        f"{seconds} s of the demo's song from mp3 to two stems; {rounds} rounds in turns, after one more."
    )


def demo_mix(seconds: int) -> Audio:
    """Return the demo's song, again and again for so many seconds."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(demo_song().mix)
        file.flush()
        with open_audio(Path(file.name), limits=LIMITS) as audio:
            once = np.concatenate(list(audio))
    return np.resize(once, (seconds * SAMPLE_RATE, 2))


def cost_table(report: Report) -> None:
    """Add what reading and writing cost in each codec."""
    samples = song()
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, rate, kbps in (
            ("wav", None, None),
            ("flac", None, None),
            ("mp3", None, 192),
            ("mp3", 48_000, 320),
            ("aac", None, 192),
            ("amr", None, 12),
            ("wav", 48_000, None),
        ):
            path = Path(folder) / f"song.{codec}"
            spec = OutputSpec(path, codec, rate, kbps)
            label = " ".join([codec, *([f"{rate} Hz"] if rate else []), *([f"{kbps} kb/s"] if kbps else [])])
            wrote = cpu_seconds(partial(write, samples, spec))
            costs.append((label, f"{wrote:.2f}", f"{cpu_seconds(partial(read, path)):.2f}"))
    report.table("cost", ("File", "write", "read"), costs)
    report.notes.append(f"CPU seconds for {SECONDS} s of stereo, medians of {REPEATS}.")


def lame_table(report: Report) -> None:
    """Add what LAME's qualities cost and keep, on the stems of the demo's song."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, samples in demo_stems(folder).items():
            for kbps in (128, 192):
                for quality in LAME_QUALITIES:
                    with patch.object(mp3, "QUALITY", quality):
                        rows.append((stem, kbps, quality, *lame_figures(samples, kbps, folder / "stem.mp3")))
    head = ("Stem", "kbit/s", "LAME quality", "write, CPU s", "signal to error, dB", "noise to mask, dB")
    report.table("lame", head, rows)
    report.notes.append(
        f"CPU seconds for {SECONDS} s of stereo, medians of {REPEATS}. Noise to mask: benchmarks/masking.py, "
        "left channel; below 0 its model expects that nothing is heard."
    )


def lame_figures(samples: Audio, kbps: int, path: Path) -> tuple[str, str, str]:
    """Return CPU seconds for SECONDS, and signal to error and noise to mask in dB."""
    wrote = cpu_seconds(partial(write, samples, OutputSpec(path, "mp3", None, kbps)))
    with open_audio(path, limits=LIMITS) as audio:
        heard = np.concatenate(list(audio))[: len(samples), 0].astype(np.float64)
    signal = samples[: len(heard), 0].astype(np.float64)
    noise = heard - (heard @ signal) / (signal @ signal) * signal
    return (
        f"{wrote * SECONDS * SAMPLE_RATE / len(samples):.2f}",
        f"{decibels(signal, noise):.1f}",
        f"{noise_to_mask_db(signal, noise, SAMPLE_RATE):.1f}",
    )


def demo_stems(folder: Path) -> dict[str, Audio]:
    """Return the stems into which the demo's song is separated, each (frames, 2)."""
    pull(WeightStore(), MODELS["2stems"])
    engine = load_engine("2stems", device="cpu")
    source = folder / "song.wav"
    source.write_bytes(demo_song().mix)
    outputs = {stem: OutputSpec(folder / f"{stem}.wav", "wav", None) for stem in engine.network.instruments}
    separate_file(engine, source, outputs, limits=LIMITS)
    found = {}
    for stem, spec in outputs.items():
        with open_audio(spec.path, limits=LIMITS) as audio:
            found[stem] = np.concatenate(list(audio))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help="levels, cost, lame, aac, jobs; by default all of them")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of the song of whole jobs")
    parser.add_argument("--rounds", type=int, default=3, help="of whole jobs, in turns")
    options = parser.parse_args()
    parts: dict[str, Callable[[Report], None]] = {
        "levels": level_table,
        "cost": cost_table,
        "lame": lame_table,
        "aac": aac_table,
        "jobs": partial(job_table, seconds=options.seconds, rounds=options.rounds),
    }
    for part in options.parts or parts:
        report = Report(f"codecs-{part}", f"The codecs: {part}", ["benchmarks/codecs.py"])
        parts[part](report)
        report.write()


if __name__ == "__main__":
    main()
