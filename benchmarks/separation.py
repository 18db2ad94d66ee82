"""Stemline beside Spleeter on this machine, in one run: time, memory, real-time factors.

    python -m benchmarks.separation [--seconds 240] [--long 3600] [--runs 3] [--no-reference]
                                   [--kernels avx2]

`make bench-separation` runs it. Runs alternate, so that a slow minute of the machine falls on both; medians
are printed, and written with every single value to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from benchmarks import kernels, spleeter_home
from benchmarks.network import gflop
from benchmarks.report import RESULTS, Report
from stemline.models.catalogue import MODELS
from stemline.models.download import pull
from stemline.models.weights import WeightStore
from stemline.separation.cpus import available_cpus
from stemline.separation.media import OutputSpec, SourceInfo, StemWriter
from stemline.separation.network import HOP, SAMPLE_RATE, SEGMENT_FRAMES
from tests.golden import song

REPOSITORY = Path(__file__).parent.parent
#: A segment of the networks.
SEGMENT_S = SEGMENT_FRAMES * HOP / SAMPLE_RATE
STEMLINE = [sys.executable, "-m", "stemline", "separate"]


@dataclass(frozen=True, slots=True)
class Run:
    """Of one process: seconds by the clock, seconds of processors, peak memory in MiB, what it printed."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a process and measure it with all its children."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=REPOSITORY
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


def make_song(path: Path, seconds: float) -> Path:
    """Write a song of so many seconds as MP3 at 192 kbit/s; half a minute is repeated."""
    part = song.mix(song.stems(min(seconds, 30.0)))
    source = SourceInfo(
        codec="pcm", samplerate=44_100, channels=2, bitrate_kbps=None, container="wav", duration_s=None
    )
    spec = OutputSpec(path, "mp3", samplerate=44_100, bitrate_kbps=192, channels=2)
    writer = StemWriter(spec, tags={}, source=source)
    left = round(seconds * 44_100)
    while left:
        writer.write(np.ascontiguousarray(part[: min(left, len(part))]))
        left -= min(left, len(part))
    writer.close()
    return path


def seconds_in(text: str) -> list[float]:
    return [float(line.split()[1]) for line in text.splitlines() if line.startswith("SECONDS")]


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    weights = pull(WeightStore(), MODELS["2stems"])
    track = make_song(scratch / "song.mp3", options.seconds)
    out = ["-o", str(scratch / "out")]
    run([*STEMLINE, str(track), *out])  # builds the cached graph, warms the disk
    commands: list[Run] = []
    references: list[Run] = []
    firsts: list[float] = []
    home = spleeter_home.environment(scratch / "spleeter", weights) if options.reference else None
    spleeter = [str(spleeter_home.REFERENCE), "-m", "spleeter", "separate", "-p", "spleeter:2stems"]
    for _ in range(options.runs):
        commands.append(run([*STEMLINE, str(track), *out]))
        started = time.time()
        first = run([sys.executable, "-m", "benchmarks.first_audio", str(track)]).output
        firsts += [float(line.split()[1]) - started for line in first.splitlines() if "FIRST" in line]
        if home is not None:
            references.append(run([*spleeter, "-d", str(options.seconds + 1), *out, str(track)], home))

    def warm(what: str, python: str) -> list[str]:
        return [python, "-m", f"benchmarks.{what}_warm", str(track), str(scratch), str(options.runs)]

    found: dict[str, object] = {
        "command": [vars_of(each) for each in commands],
        "first_audio_s": firsts,
        "warm_s": seconds_in(run(warm("stemline", sys.executable)).output),
    }
    if home is not None:
        found["spleeter_command"] = [vars_of(each) for each in references]
        found["spleeter_warm_s"] = seconds_in(
            run(warm("spleeter", str(spleeter_home.REFERENCE)), home).output
        )
    if options.long:
        long = make_song(scratch / "long.mp3", options.long)
        found["long"] = vars_of(run([*STEMLINE, str(long), *out]))
    four = [sys.executable, "-m", "benchmarks.four_stems", str(track), str(scratch), str(options.runs)]
    found["stems"] = json.loads(run(four).output.splitlines()[-1])
    single = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    network = run([sys.executable, "-m", "benchmarks.network"], single).output
    found["network"] = json.loads(network.splitlines()[-1])
    return found


def vars_of(each: Run) -> dict[str, float]:
    return {"wall_s": each.wall_s, "cpu_s": each.cpu_s, "peak_mib": each.peak_mib}


def median(found: dict[str, object], name: str, field: str | None = None) -> float:
    values = found[name]
    assert isinstance(values, list)
    return statistics.median(float(value[field] if field else value) for value in values)


def table(found: dict[str, object], options: argparse.Namespace) -> list[tuple[str, str, str, str]]:
    """Return the rows: what, Spleeter, Stemline, comparison."""
    rows = []

    def row(what: str, spleeter: float | None, stemline: float, unit: str) -> None:
        times = f"{spleeter / stemline:.1f}x" if spleeter else ""
        rows.append((what, f"{spleeter:.1f} {unit}" if spleeter else "", f"{stemline:.2f} {unit}", times))

    both = "spleeter_command" in found
    name = f"{options.seconds:.0f} s song"
    command = median(found, "command", "wall_s")
    row(
        f"{name}, mp3 to wav, whole process",
        median(found, "spleeter_command", "wall_s") if both else None,
        command,
        "s",
    )
    row(
        f"{name}, processor time",
        median(found, "spleeter_command", "cpu_s") if both else None,
        median(found, "command", "cpu_s"),
        "s",
    )
    row(f"{name}, warm", median(found, "spleeter_warm_s") if both else None, median(found, "warm_s"), "s")
    row(
        f"{name}, peak memory",
        median(found, "spleeter_command", "peak_mib") / 1024 if both else None,
        median(found, "command", "peak_mib") / 1024,
        "GiB",
    )
    row("cold start to first audio", None, median(found, "first_audio_s"), "s")
    network = found["network"]
    assert isinstance(network, dict)
    if "long" in found:
        long = found["long"]
        assert isinstance(long, dict)
        factor = options.long / long["wall_s"]
        rate = 2 * gflop() * options.long / SEGMENT_S / long["wall_s"]
        share = rate / (network["sgemm_gflops"] * available_cpus())
        rows.append((f"{options.long / 60:.0f} min file", "", f"{factor:.0f}x real time", ""))
        rows.append(("its share of the sgemm peak of all cores", "", f"{share:.0%}", ""))
        rows.append(("its peak memory", "", f"{long['peak_mib'] / 1024:.2f} GiB", ""))
    stems = found["stems"]
    assert isinstance(stems, dict)
    ratio = stems["4stems"] / stems["2stems"]
    share = network["2stems_gflops"] / network["sgemm_gflops"]
    rows.append((f"{name} in 4 stems, warm, against 2", "", f"{ratio:.2f}x the time", ""))
    rows.append(("network, one segment on one core", "", f"{network['2stems_ms']:.0f} ms", ""))
    rows.append(("share of the sgemm peak", "", f"{share:.0%} of {network['sgemm_gflops']:.0f} GFLOP/s", ""))
    return rows


def write(found: dict[str, object], rows: list[tuple[str, str, str, str]], report: Report) -> None:
    """Write the table, and every single value."""
    report.table("rows", ("", "Spleeter 2.4.2", "Stemline", "times"), rows)
    fill(report, found)
    report.write()


def fill(report: Report, found: Mapping[str, Any]) -> None:
    """Put every value into a report, and the ratios of runs that were made one after the other."""
    own = found["command"]
    for key, unit in (("wall_s", "s"), ("cpu_s", "s"), ("peak_mib", "MiB")):
        mine = [each[key] for each in own]
        report.add(f"song.{key}", mine, unit=unit, label=f"Stemline, command: {key}")
        if "spleeter_command" in found:
            theirs = [each[key] for each in found["spleeter_command"]]
            report.add(f"spleeter.{key}", theirs, unit=unit, label=f"Spleeter, command: {key}")
            ratios = [other / one for one, other in zip(mine, theirs, strict=True)]
            name = key.rpartition("_")[0]
            report.add(f"song.{name}_ratio", ratios, unit="times", label=f"Spleeter against Stemline: {key}")
    report.add("song.warm_s", found["warm_s"], unit="s", label="Stemline, warm")
    if "spleeter_warm_s" in found:
        report.add("spleeter.warm_s", found["spleeter_warm_s"], unit="s", label="Spleeter, warm")
    report.add("first_audio_s", found["first_audio_s"], unit="s", label="cold start to first audio")
    if "long" in found:
        peak = found["long"]["peak_mib"]
        report.add("long.peak_mib", [peak], unit="MiB", label="an hour: peak memory")
        report.add("long.wall_s", [found["long"]["wall_s"]], unit="s", label="an hour: wall_s")
        report.add("long.cpu_s", [found["long"]["cpu_s"]], unit="s", label="an hour: processor time")
    for key, value in found["network"].items():
        report.add(f"network.{key}", [value], unit=key.rpartition("_")[2], label=f"one segment: {key}")


def plot(found: dict[str, object], options: argparse.Namespace, name: str) -> None:
    """Draw seconds per song, as bars."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "stemline"

    bars = {
        "stemline separate": median(found, "command", "wall_s"),
        "Stemline, warm": median(found, "warm_s"),
    }
    if "spleeter_command" in found:
        bars["spleeter separate"] = median(found, "spleeter_command", "wall_s")
        bars["Spleeter, warm"] = median(found, "spleeter_warm_s")
    figure, axes = plt.subplots(figsize=(6, 2.4))
    colours = ["#c0392b" if "pleeter" in each else "#2471a3" for each in bars]
    axes.bar_label(axes.barh(list(bars), list(bars.values()), color=colours), fmt="%.1f s", padding=3)
    axes.set_xlabel(f"seconds for a song of {options.seconds:.0f} s (2 stems, mp3 to wav)")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240.0, help="length of the song")
    parser.add_argument("--long", type=float, default=3600.0, help="length of the long file, 0 for none")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-reference", dest="reference", action="store_false")
    kernels.add_option(parser)
    options = parser.parse_args()
    if options.reference and not spleeter_home.REFERENCE.exists():
        raise SystemExit("Spleeter is not installed: `make reference`, or --no-reference.")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    title = f"Stemline beside Spleeter: a song of {options.seconds:.0f} s, mp3 to wav"
    with kernels.used(options.kernels, Path(sys.prefix)) as suffix, tempfile.TemporaryDirectory() as scratch:
        name = f"separation{suffix}"
        report = Report(name, title, ["benchmarks/separation.py", "benchmarks/kernels.py"])
        found = measure(options, Path(scratch))
        write(found, table(found, options), report)
    plot(found, options, name)


if __name__ == "__main__":
    main()
