"""Change the store's scripts in small ways, and see that a test of the store fails each time.

    python -m tools.mutate_lua [SCRIPT ...] [--every N] [--list]

Each change is one of: another comparison, ``and`` for ``or``, no ``not``, plus for minus, another bound, a
neighbouring number, a call left out. The contract tests of the store run in a child of this process for each
change. Prints the changes that no test notices; the status is 1 if there are more than a tenth.
docs/testing.md explains those that change nothing that can be observed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from stemline.jobs.store import scripts

FOLDER: Final = Path("jobs/store/lua")
TESTS: Final = tuple(
    f"tests/integration/jobs/{name}.py"
    for name in (
        "test_store",
        "test_store_attempts",
        "test_store_callbacks",
        "test_store_tenants",
        "test_store_waveforms",
        "test_store_events",
        "test_store_retries",
        "test_store_selection",
        "test_store_console",
        "test_redis_store",
    )
)
LIMIT_S: Final = 300
_SWAPS: Final = (
    *((f" {one} ", f" {other} ") for one, other in (("==", "~="), ("~=", "=="), ("<=", "<"), (">=", ">"))),
    *((f" {one} ", f" {other} ") for one, other in (("<", "<="), (">", ">="), (r"\+", "-"), ("-", "+"))),
    (" and ", " or "),
    (" or ", " and "),
    (r"\bnot ", ""),
    (r"math\.max", "math.min"),
    (r"math\.min", "math.max"),
    (r"(?<![\w\[:.'])0(?![\w.])", "1"),
    (r"(?<![\w\[:.'])1(?![\w.])", "2"),
)
_CALL: Final = re.compile(r"^\s*(redis\.call|refresh|leave_\w+|append|check_version|publish\w*)\(.*\)$")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one line of a script."""

    script: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.script}.lua:{self.line}: {self.before.strip()}  ->  {self.after.strip() or '(left out)'}"
        )


def mutants(script: str, text: str) -> Iterator[Mutant]:
    """Yield every change of a script."""
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition("--")[0].rstrip()
        if not code.strip():
            continue
        if _CALL.match(code):
            yield Mutant(script, number, code, "")
        for pattern, other in _SWAPS:
            for match in re.finditer(pattern, code):
                yield Mutant(script, number, code, code[: match.start()] + other + code[match.end() :])


def changed(text: str, mutant: Mutant) -> str:
    """Return a script with one line changed."""
    lines = text.splitlines()
    lines[mutant.line - 1] = mutant.after
    return "\n".join(lines) + "\n"


def survives(mutant: Mutant) -> bool:
    """Return whether all tests pass with a change; they run in a child, which has everything imported."""
    child = os.fork()
    if child == 0:
        _run(mutant)
    for _ in range(LIMIT_S * 10):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)  # a script that never ends is noticed, too
    os.waitpid(child, 0)
    return False


def _run(mutant: Mutant) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    original = scripts.source

    def source(name: str) -> str:
        text = original(name)
        own = (FOLDER / f"{mutant.script}.lua").read_text()
        return text.replace(own, changed(own, mutant)) if own in text else text

    scripts.source = source  # type: ignore[assignment]
    options = ["-q", "-x", "-k", "redis", "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout", "60"]
    os._exit(int(pytest.main([*options, *TESTS])))


def main(arguments: list[str]) -> int:
    """Try the changes; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="without the ending; all but the schema if none is named")
    parser.add_argument("--every", type=int, default=1, help="try each Nth change only")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    asked = parser.parse_args(arguments)
    names = asked.scripts or sorted(path.stem for path in FOLDER.glob("*.lua") if path.stem != "schema")
    found = [each for name in names for each in mutants(name, (FOLDER / f"{name}.lua").read_text())]
    chosen = found[:: asked.every]
    if asked.list:
        print(*chosen, sep="\n")
        return 0
    left: list[Mutant] = []
    for number, mutant in enumerate(chosen, start=1):
        if survives(mutant):
            left.append(mutant)
            print(f"{number}/{len(chosen)} survived: {mutant}", flush=True)
    print(f"{len(chosen)} of {len(found)} changes tried, {len(chosen) - len(left)} noticed, {len(left)} not")
    return 1 if len(left) * 10 > len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
