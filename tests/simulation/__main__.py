"""``make simulate``: run the service in virtual time from many seeds, and find planted mistakes.

python -m tests.simulation --seed 17 --runs 1   # one seed again, with what happens in it
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.choices import shrink
from tests.simulation.kept_mistakes import KeptMistakes
from tests.simulation.kept_runs import SEEDS, KeptRuns
from tests.simulation.mistake import Mistake
from tests.simulation.mistakes import MISTAKES
from tests.simulation.run import Result, Simulator, simulator

_MISSED = "not found"
_STEPS = 1_000_000
_KEPT_STEPS = 200_000
"""After so many steps what was found is kept, if it is."""


@dataclass
class Total:
    """What many runs found."""

    runs: int = 0
    steps: int = 0
    failed_seed: int | None = None


def explore(sim: Simulator, seeds: Iterator[int], max_steps: int, end: float = math.inf) -> Total:
    """Make runs until one fails, or so many steps are made, or until a time of ``perf_counter``."""
    total = Total()
    while total.steps < max_steps and time.perf_counter() < end:
        seed = next(seeds)
        result = sim.run(seed)
        total.runs += 1
        total.steps += result.steps
        if result.faults:
            total.failed_seed = seed
            break
    return total


def explain(sim: Simulator, seed: int) -> None:
    """Repeat a failed run, make it shorter, and print what happens in it."""
    failed = sim.run(seed)

    def fails(choices: Sequence[int]) -> bool:
        return bool(sim.run(0, choices).faults)

    shortest = shrink(failed.choices, fails)
    result: Result = sim.run(0, shortest, is_logged=True)
    print("\n".join(result.log[-150:]))
    print(f"seed {seed}: {failed.steps} steps, {sum(map(bool, failed.choices))} choices that are not 0;")
    print(f"shrunk: {result.steps} steps, {sum(map(bool, shortest))} such choices: {json.dumps(shortest)}")
    print("\n".join(result.faults))


def find(sim: Simulator, mistake: Mistake, starts: range, max_steps: int) -> list[int]:
    """Return how many steps find a planted mistake, from each of some first seeds; 0 if none do."""
    found = []
    with mistake.planted():
        for start in starts:
            seeds = iter(range(1 + start * SEEDS, 1 + (start + 1) * SEEDS))
            total = explore(sim, seeds, max_steps)
            found.append(0 if total.failed_seed is None else total.steps)
    return found


def _found(number: int, starts: int, max_steps: int, end: float, name: str) -> str:
    """Find a mistake in a process of its own, from the first seeds that are not kept yet; return how soon."""
    mistake, kept = MISTAKES[number], KeptMistakes(name)
    found = kept.steps(mistake.name)
    with simulator() as sim:
        for start in range(len(found), starts):
            if time.perf_counter() > end:
                return f"{mistake.name:60} no time for all of them: {found}"
            steps = find(sim, mistake, range(start, start + 1), max_steps)
            if 0 in steps:
                return f"{mistake.name:60} {_MISSED}"
            kept.add(mistake.name, steps)
            found += steps
    return f"{mistake.name:60} {found}"


def _mistakes(starts: int, max_steps: int, end: float, name: str, processes: int) -> bool:
    """Find each mistake, as long as there is time; return whether one was not found."""
    missed = False
    with ProcessPoolExecutor(processes, get_context("fork")) as pool:
        asked = [pool.submit(_found, number, starts, max_steps, end, name) for number in range(len(MISTAKES))]
        for done in as_completed(asked):
            print(done.result(), flush=True)
            missed |= done.result().endswith(_MISSED)
    return missed


def _promises(sim: Simulator, seed: int, max_steps: int, end: float, name: str) -> bool:
    """Make runs, after those that a file keeps; return whether one broke a promise."""
    kept = KeptRuns(name)
    seed, steps = kept.first_seed(seed), 0
    began = time.perf_counter()
    while steps < max_steps and time.perf_counter() < end:
        began_cpu_s = time.process_time()
        total = explore(sim, iter(range(seed, sys.maxsize)), min(_KEPT_STEPS, max_steps - steps), end)
        if total.failed_seed is not None:
            explain(sim, total.failed_seed)
            return True
        kept.add(seed=seed, runs=total.runs, steps=total.steps, cpu_s=time.process_time() - began_cpu_s)
        seed, steps = seed + total.runs, steps + total.steps
        print(f"{steps:,} steps in {time.perf_counter() - began:.0f} s, no promise broken", flush=True)
    return False


def main() -> int:
    """Make the runs; the exit status is 1 if a promise was broken, or a mistake was not found."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--runs", type=int, default=0, help="prints what happens in so many runs instead")
    parser.add_argument("--steps", type=int, default=_STEPS, help="of all runs together")
    parser.add_argument("--processes", type=int, default=1, help="that share the steps, from seeds far apart")
    parser.add_argument("--mistakes", type=int, default=0, help="finds each mistake from so many first seeds")
    parser.add_argument("--most", type=int, default=1_000_000, help="steps to find a mistake in")
    parser.add_argument("--minutes", type=float, default=math.inf, help="ends after this time")
    parser.add_argument("--name", default="", help="of files in benchmarks/results that keep these runs too")
    parser.add_argument("--valkey", action="store_true", help="runs the scripts on a real Valkey")
    asked = parser.parse_args()
    end, failed = time.perf_counter() + asked.minutes * 60, False
    with simulator(is_real=asked.valkey) as sim:
        for seed in range(asked.seed, asked.seed + asked.runs):
            result = sim.run(seed, is_logged=True)
            print(
                "\n".join([*result.log, f"seed {seed}: {result.steps} steps, {result.faults or 'no fault'}"])
            )
        if asked.runs:
            return 0
        if asked.steps:
            failed = _promises(sim, asked.seed, asked.steps, end, asked.name)
    if asked.mistakes and not failed:
        name = f"{asked.name}-mistakes" if asked.name else ""
        failed = _mistakes(asked.mistakes, asked.most, end, name, asked.processes)
    return 1 if failed else 0


def repeatable() -> int:
    """Run in processes whose sets have the same order each time; each has a part of the steps."""
    if os.environ.get("PYTHONHASHSEED") == "0":
        return main()
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--mistakes", type=int, default=0)
    asked, others = parser.parse_known_args()
    words, environment = [sys.executable, "-m", "tests.simulation"], {**os.environ, "PYTHONHASHSEED": "0"}
    status = 0
    if asked.steps:
        words += ["--steps", str(math.ceil(asked.steps / asked.processes))]
        seeds = [str(asked.seed + number * SEEDS) for number in range(asked.processes)]
        started = [subprocess.Popen([*words, *others, "--seed", seed], env=environment) for seed in seeds]
        status = max([process.wait() for process in started])
    if asked.mistakes and not status:
        words[3:] = ["--steps", "0", "--mistakes", str(asked.mistakes), "--processes", str(asked.processes)]
        status = subprocess.run([*words, *others], env=environment, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(repeatable())
