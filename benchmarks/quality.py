"""How well voice and background are found in mixes with known parts, Stemline beside Spleeter.

    python -m benchmarks.quality [--only NAME] [--without-spleeter] [--folder PATH]

`make bench-quality` runs it. The mixes are those of `benchmarks/mixes.py`. For each stem of each mix:

- SDR: the energy of the part over that of the difference;
- SIR and SAR of BSS Eval (Vincent, Gribonval and Févotte, 2006) with gains as the allowed distortion: by
  what the estimate's projection on all parts has beyond the part itself, and the estimate beyond all parts;
- the log-spectral distance (LSD) above 11 kHz, where the networks see nothing: the root mean square
  difference of the levels of all bins from 11 to 18 kHz, down to 80 dB below the loudest bin of the mix,
  mean over frames.
"""

from __future__ import annotations

import argparse
import logging
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from benchmarks import spleeter_home
from benchmarks.mixes import SECONDS, mixes
from benchmarks.report import Report
from stemline.models.catalogue import MODELS
from stemline.models.download import pull
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.extension import Extension
from stemline.separation.separator import Separator

REPOSITORY = Path(__file__).parent.parent
#: What is compared, by its name in tables: options of the separator.
SYSTEMS: Mapping[str, Mapping[str, Any]] = {
    "Stemline": {},
    "Stemline, zeros": {"extension": Extension.ZEROS},
    "Stemline, upper": {"extension": Extension.UPPER},
    "Stemline, refined": {"refine": True},
    "Stemline, upper, refined": {"extension": Extension.UPPER, "refine": True},
}
STEMS = ("voice", "background")
MEASURES = ("SDR", "SIR", "SAR", "LSD")
#: Bins that the log-spectral distance compares, 11 to 18 kHz.
_ABOVE = slice(1024, 1672)
_FRAME, _HOP = 4096, 1024

Signal = NDArray[np.float64]
#: Mix, system and stem to the value of each measure.
Scores = dict[tuple[str, str, str], dict[str, float]]


def prepare(folder: Path, only: str | None) -> None:
    """Write every mix and what Stemline makes of it."""
    engine = load_engine("2stems")
    for mix in mixes():
        if only is not None and only not in mix.name:
            continue
        place = folder / mix.name
        place.mkdir()
        both = np.stack([mix.voice, mix.background])
        np.save(place / "mix.npy", both.sum(axis=0, dtype=np.float32))
        np.save(place / "truth.npy", both)
        for system, options in SYSTEMS.items():
            with Separator(engine, **options) as separator:
                pieces = list(separator.separate([np.load(place / "mix.npy")]))
            stems = [np.concatenate([piece[stem] for piece in pieces]) for stem in engine.network.instruments]
            np.save(place / f"{system}.npy", np.stack(stems))


def run_spleeter(folder: Path, home: dict[str, str]) -> None:
    """Run Spleeter in its own environment."""
    command = [str(spleeter_home.REFERENCE), "-m", "benchmarks.quality_reference", str(folder)]
    subprocess.run(command, env=home, cwd=REPOSITORY, check=True)


def score(folder: Path) -> Scores:
    """Return the measures of every estimate."""
    scores: Scores = {}
    for place in sorted(folder.iterdir()):
        truth = np.load(place / "truth.npy").astype(np.float64)
        for path in sorted(place.glob("*.npy")):
            if path.stem not in {"mix", "truth"}:
                estimate = np.load(path).astype(np.float64)
                for number, stem in enumerate(STEMS):
                    scores[place.name, path.stem, stem] = measure(truth, estimate[number], number)
    return scores


def measure(truth: Signal, estimate: Signal, number: int) -> dict[str, float]:
    """Return the measures of an estimate (samples, 2) of one of the parts (2, samples, 2)."""
    part = truth[number]
    own, every = (_projection(estimate, basis) for basis in (part, np.concatenate([*truth], axis=1)))
    floor = float(_powers(truth.sum(axis=0)).max()) * 1e-8
    levels = [10 * np.log10(_powers(each)[..., _ABOVE] + floor) for each in (estimate, part)]
    return {
        "SDR": _ratio_db(part, part - estimate),
        "SIR": _ratio_db(own, every - own),
        "SAR": _ratio_db(every, estimate - every),
        "LSD": float(np.sqrt(np.square(levels[0] - levels[1]).mean(axis=-1)).mean()),
    }


def _projection(signal: Signal, basis: Signal) -> Signal:
    """Return the nearest sum of the columns of a basis for each column of a signal."""
    return np.asarray(basis @ np.linalg.solve(basis.T @ basis, basis.T @ signal))


def _ratio_db(one: Signal, other: Signal) -> float:
    return float(10 * np.log10(np.square(one).sum() / np.square(other).sum()))


def _powers(samples: Signal) -> NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME, axis=0)[::_HOP]
    return np.asarray(np.square(np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=-1))))


def fill(report: Report, scores: Scores) -> None:
    """Put the means of every system, the voice of every mix, and every score into a report."""
    names = list(dict.fromkeys(name for name, _, _ in scores))
    systems = [*SYSTEMS, *sorted({system for _, system, _ in scores} - set(SYSTEMS))]

    def values(system: str, stem: str, measure: str) -> list[float]:
        return [scores[name, system, stem][measure] for name in names]

    columns = [(stem, measure) for stem in STEMS for measure in MEASURES]
    for system in systems:
        for stem, measure in columns:
            key = f"{_key(system)}.{stem}.{measure}"
            label = f"{system}: {stem} {measure}"
            report.add(key, values(system, stem, measure), unit="dB", label=label)
    head = ["dB", *(f"{stem} {measure}" for stem, measure in columns)]
    report.table("means", head, _means(systems, columns, values))
    report.table("voice", ["SDR of the voice, dB", *systems], _each(names, systems, scores, "SDR"))
    report.table("distance", ["LSD of the voice, dB", *systems], _each(names, systems, scores, "LSD"))
    for key, one, other in (
        ("average_gain", "Stemline", "Stemline, zeros"),
        ("upper_gain", "Stemline, upper", "Stemline"),
        ("refine_gain", "Stemline, refined", "Stemline"),
        ("both_gain", "Stemline, upper, refined", "Stemline"),
    ):
        for stem in STEMS:
            gains = [a - b for a, b in zip(values(one, stem, "SDR"), values(other, stem, "SDR"), strict=True)]
            label = f"{one} over {other}: SDR of the {stem}"
            report.add(f"{key}.{stem}", gains, unit="dB of gain", label=label)


def _means(
    systems: Sequence[str], columns: Sequence[tuple[str, str]], values: Any
) -> Iterator[Sequence[object]]:
    for system in systems:
        yield [system, *(f"{statistics.mean(values(system, *column)):.2f}" for column in columns)]


def _each(
    names: Sequence[str], systems: Sequence[str], scores: Scores, measure: str
) -> Iterator[Sequence[object]]:
    for name in names:
        yield [name, *(f"{scores[name, system, 'voice'][measure]:.2f}" for system in systems)]


def _key(system: str) -> str:
    return re.sub(r"\W+", "-", system)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="a part of the names of mixes; nothing is written then")
    parser.add_argument("--without-spleeter", action="store_true", help="score Stemline alone")
    parser.add_argument("--folder", type=Path, help="keep mixes and stems there, and use those that it has")
    options = parser.parse_args()
    if not options.without_spleeter and not spleeter_home.REFERENCE.exists():
        raise SystemExit("Spleeter is not installed: `make reference`.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    weights = pull(WeightStore(), MODELS["2stems"])
    report = Report(
        "quality",
        "Voice and background in mixes of known parts",
        ["benchmarks/quality.py", "benchmarks/quality_reference.py", "benchmarks/mixes.py"],
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "songs"
        if not folder.exists():
            folder.mkdir(parents=True)
            prepare(folder, options.only)
        if not options.without_spleeter:
            run_spleeter(folder, spleeter_home.environment(Path(scratch) / "spleeter", weights))
        scores = score(folder)
    fill(report, scores)
    if options.without_spleeter:
        report.notes.append(
            "Spleeter was not run: with the same extension its stems are Stemline's to 1e-4 (`make parity`)."
        )
    report.notes.append(f"Means over all mixes, which `benchmarks/mixes.py` makes; {SECONDS} s each.")
    if options.only is None:
        report.write()
    else:
        print("\n\n".join(report.tables.values()))


if __name__ == "__main__":
    main()
