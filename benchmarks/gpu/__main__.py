"""Measure a GPU within eight minutes, or the program itself on a processor.

    python -m benchmarks.gpu [--device cuda|cpu] [--budget-s 480] [--wheels FOLDER] …

Every step runs in a process of its own with a time limit, so that one which crashes or hangs ends no other;
what it had found by then stays. The most important steps come first, those that need no card last.

It needs the packages of `stemline[gpu]`, the weights of the 2-stem model (STEMLINE_MODELS_DIR) and, for the
ceiling alone, torch. Without a network, `--wheels` names a folder of wheels, made on a machine of the same
system and Python with `pip wheel '.[gpu]' --wheel-dir FOLDER`: they are unpacked and come before what is
installed. If ONNX Runtime has no CUDA, the steps that need it say so, and the network's speed is still
measured in torch.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.gpu.plan import BUDGET_S, RESERVE_S, STEPS
from benchmarks.report import REPOSITORY, RESULTS, Report

_SOURCES = (
    "benchmarks/gpu/__main__.py",
    "benchmarks/gpu/plan.py",
    "benchmarks/gpu/samples_step.py",
    "benchmarks/gpu/songs.py",
    "benchmarks/gpu/steps.py",
    "benchmarks/gpu/torch_ceiling.py",
    "benchmarks/gpu/versions_step.py",
)


def unpack(wheels: Path, folder: Path) -> list[Path]:
    """Unpack wheels, which needs no network and no pip, and return the folders to import from.

    Raises:
        SystemExit: There are none.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise SystemExit(f"{wheels} has no wheels.")
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return [folder, *folder.glob("*.data/purelib"), *folder.glob("*.data/platlib")]


def run_step(name: str, device: str, *, limit_s: float, paths: list[Path]) -> dict[str, Any]:
    """Run one step and return what it found, with the reason where it did not end well."""
    environment = dict(os.environ)
    known = [*paths, REPOSITORY / "src", REPOSITORY, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(str(each) for each in known if str(each))
    command = [sys.executable, "-m", "benchmarks.gpu.steps", name, device]
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        step = subprocess.Popen(
            command, stdout=printed, stderr=said, env=environment, cwd=REPOSITORY, start_new_session=True
        )
        try:
            status = step.wait(limit_s)
            reason = "" if status == 0 else _last_line(said) or f"exit status {status}"
        except subprocess.TimeoutExpired:
            reason = f"not done within {limit_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # it has started some of its own
                os.killpg(step.pid, signal.SIGKILL)
            step.wait()
        result = _last_result(printed)
    if not result and not reason:
        reason = "nothing was found"
    return {**result, "error": reason} if reason else result


def _last_line(file: IO[str]) -> str:
    """Return the last line that was written to a file, shortened."""
    file.seek(0)
    lines = file.read().strip().splitlines()
    return lines[-1][:500] if lines else ""


def _last_result(file: IO[str]) -> dict[str, Any]:
    """Return the last result that was written to a file; an empty one where there is none."""
    file.seek(0)
    for line in reversed(file.read().splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return {}


def report(results: dict[str, dict[str, Any]], device: str) -> Report:
    """Return the results as figures and one table for each step."""
    made = Report(f"gpu-{device}", f"The network and whole songs on {device}", _SOURCES)
    for name, result in results.items():
        title = STEPS[name].title
        if "error" in result:
            made.notes.append(f"{title}: {result['error']}")
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
    parser.add_argument("--budget-s", type=float, default=BUDGET_S)
    parser.add_argument("--only", default=",".join(STEPS), help="names of steps, with commas between them")
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    ends = time.monotonic() + options.budget_s - RESERVE_S
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="stemline-wheels-") as folder:
        paths = unpack(options.wheels, Path(folder)) if options.wheels else []
        for name in options.only.split(","):
            left = ends - time.monotonic()
            if left <= 1:
                results[name] = {"error": "no time was left"}
                continue
            print(f"{STEPS[name].title} ...", flush=True)
            limit_s = min(left, STEPS[name].limit_s)
            results[name] = run_step(name, options.device, limit_s=limit_s, paths=paths)
            print(json.dumps(results[name], indent=1), flush=True)
    made = report(results, options.device)
    made.load_before = load
    made.write(options.output)


if __name__ == "__main__":
    main()
