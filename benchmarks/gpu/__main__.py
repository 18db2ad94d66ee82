"""Measure a GPU within eight minutes, or the program itself on a processor.

    python -m benchmarks.gpu [--device cuda|cpu] [--budget-s 480] [--wheels FOLDER] …

Every step runs in a process of its own with a time limit, so that one which crashes or hangs ends no other.
It needs the packages of `stemline[gpu]`, the 2-stem weights and, for the ceiling alone, torch; without a
network, `--wheels` names a folder of wheels. If ONNX Runtime has no CUDA, the steps that need it say so, and
the network's speed is still measured in torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import STEPS
from benchmarks.report import RESULTS, Report

_SOURCES = (
    "benchmarks/gpu/__main__.py",
    "benchmarks/gpu/samples_step.py",
    "benchmarks/gpu/songs.py",
    "benchmarks/gpu/steps.py",
    "benchmarks/gpu/torch_ceiling.py",
)
#: Kept free for writing the results, s.
_RESERVE_S = 10.0


def unpack(wheels: Path) -> Path:
    """Unpack wheels, which needs no network and no pip, and return the folder to import from."""
    folder = Path(tempfile.mkdtemp(prefix="stemline-wheels-"))
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


def run_step(name: str, device: str, *, limit_s: float, path: Path | None) -> dict[str, Any]:
    """Run one step and return what it printed last, or why it has no result."""
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), environment.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "benchmarks.gpu.steps", name, device]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done within {limit_s:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr or done.stdout).strip().splitlines()
        return {"error": said[-1] if said else f"exit status {done.returncode}"}
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def report(results: dict[str, dict[str, Any]], device: str) -> Report:
    """Return the results as figures and one table for each step."""
    made = Report(f"gpu-{device}", f"The network and whole songs on {device}", _SOURCES)
    for name, result in results.items():
        title = STEPS[name].title
        if "error" in result:
            made.notes.append(f"{title}: {result['error']}")
            continue
        for key, (label, unit, values) in result.get("figures", {}).items():
            made.add(f"{name}.{key}", values, unit=unit, label=label)
        if facts := result.get("facts"):
            made.table(name, [title, "value"], facts.items())
    return made


def main() -> None:
    """Run the steps in their order until the budget is used up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--budget-s", type=float, default=480.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    path = unpack(options.wheels) if options.wheels else None
    ends = time.monotonic() + options.budget_s - _RESERVE_S
    results: dict[str, dict[str, Any]] = {}
    for name in options.only.split(",") if options.only else STEPS:
        left = ends - time.monotonic()
        if left <= 1:
            results[name] = {"error": "no time was left"}
            continue
        print(f"{STEPS[name].title} ...", flush=True)
        results[name] = run_step(name, options.device, limit_s=min(left, STEPS[name].limit_s), path=path)
        print(json.dumps(results[name], indent=1), flush=True)
    report(results, options.device).write(options.output)


if __name__ == "__main__":
    main()
