"""How well voice and background are found in mixes with known parts, Stemline beside Spleeter.

    python -m benchmarks.quality [--only NAME] [--without-spleeter] [--folder PATH]

`make bench-quality` runs it. The mixes are those of `benchmarks/mixes.py`. For each stem of each mix:

- SDR, SIR and SAR of BSS Eval 4 (`benchmarks/bss_eval.py`), with filters of 512 taps as the allowed
  distortion, over the whole mix, and as medians over windows of a second;
- the log-spectral distance (LSD) above 11 kHz, where the networks see nothing: the root mean square
  difference of the levels of all bins from 11 to 18 kHz, down to 80 dB below the loudest bin of the mix,
  mean over frames.
"""

from __future__ import annotations

import argparse
import hashlib
import json
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
from benchmarks.bss_eval import BssEval
from benchmarks.mixes import SECONDS, mixes
from benchmarks.report import Report, digests
from stemline.models.catalogue import MODELS
from stemline.models.download import pull
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.engine import Engine
from stemline.separation.extension import Extension
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.separator import Separator

REPOSITORY = Path(__file__).parent.parent
SOURCES = tuple(f"benchmarks/{name}.py" for name in ("quality", "bss_eval", "quality_reference", "mixes"))
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
#: The same as medians over windows of this length.
WINDOWED = ("SDR in windows", "SIR in windows", "SAR in windows")
WINDOW = SAMPLE_RATE
#: Bins that the log-spectral distance compares, 11 to 18 kHz.
_ABOVE = slice(1024, 1672)
_FRAME, _HOP = 4096, 1024

Signal = NDArray[np.float64]
#: Mix, system and stem to the value of each measure.
Scores = dict[tuple[str, str, str], dict[str, float]]


def prepare(folder: Path, only: str | None) -> None:
    """Write every mix and what Stemline makes of it."""
    engine = load_engine("2stems")
    assert isinstance(engine, Engine)
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


def score(folder: Path, only: str | None) -> Scores:
    """Return the measures of every estimate.

    Those of a mix are kept beside it, as long as the programs stay as they are.
    """
    version = hashlib.sha256("".join(digests(SOURCES).values()).encode()).hexdigest()[:8]
    scores: Scores = {}
    for place in sorted(folder.iterdir()):
        if only is not None and only not in place.name:
            continue
        kept = place / f"scores-{version}.json"
        if not kept.exists():
            kept.write_text(json.dumps(list(_scored(place))))
        scores |= {(place.name, system, stem): found for system, stem, found in json.loads(kept.read_text())}
    return scores


def _scored(place: Path) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield system, stem and measures of every estimate of one mix."""
    truth = np.load(place / "truth.npy").astype(np.float64)
    parts = BssEval(truth)
    for path in sorted(place.glob("*.npy")):
        if path.stem in {"mix", "truth"}:
            continue
        estimate = np.load(path).astype(np.float64)
        for number, stem in enumerate(STEMS):
            distance = spectral_distance(truth, estimate[number], number)
            yield path.stem, stem, ratios(parts, estimate[number], number) | {"LSD": distance}


def ratios(parts: BssEval, estimate: Signal, number: int) -> dict[str, float]:
    """Return the ratios of an estimate (samples, 2) of one of the parts, dB."""
    whole = parts.ratios(estimate, number)
    windows = np.array([(each.sdr, each.sir, each.sar) for each in parts.windows(estimate, number, WINDOW)])
    found = dict(zip(MEASURES, (whole.sdr, whole.sir, whole.sar), strict=False))
    return found | dict(zip(WINDOWED, np.nanmedian(windows, axis=0).tolist(), strict=True))


def spectral_distance(truth: Signal, estimate: Signal, number: int) -> float:
    """Return the log-spectral distance of an estimate (samples, 2) from one of the parts (2, samples, 2)."""
    floor = float(_powers(truth.sum(axis=0)).max()) * 1e-8
    one, other = (10 * np.log10(_powers(each)[..., _ABOVE] + floor) for each in (estimate, truth[number]))
    return float(np.sqrt(np.square(one - other).mean(axis=-1)).mean())


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
    windowed = [(stem, measure) for stem in STEMS for measure in WINDOWED]
    head = ["dB", *(f"{stem} {measure.split()[0]}" for stem, measure in windowed)]
    report.table("windows", head, _means(systems, windowed, values))
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
        SOURCES,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "songs"
        if not folder.exists():
            folder.mkdir(parents=True)
            prepare(folder, options.only)
        if not options.without_spleeter:
            run_spleeter(folder, spleeter_home.environment(Path(scratch) / "spleeter", weights))
        scores = score(folder, options.only)
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
