"""Change the store's scripts in small ways, and see that a test of the store fails each time.

    python -m tools.mutate_lua [SCRIPT ...] [--every N] [--processes N] [--list]

Each change is one of: another comparison, ``and`` for ``or``, no ``not``, plus for minus, another bound, a
neighbouring number, a call left out. The contract tests of the store are collected once. For each change a
child of this process runs those that use the script, or the function of ``lib``, until one fails; first those
that noticed changes nearby. Tests that take long for other reasons (``SLOW``) do not take part.
Prints the changes that no test notices, those that are unclear, and a table; the status is 1 if there are
more than a tenth.
docs/testing.md explains those that change nothing that can be observed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from stemline.jobs.store import scripts
from tests.support import ports
from tools.lua_mutants import FOLDER, FUNCTION, Mutant, changed, mutants

SLOW: Final = {"test_store_machine.py", "test_store_races.py", "test_store_trouble.py"}
TESTS: Final = sorted(
    str(path)
    for pattern in ("test_store*.py", "test_redis_store.py")
    for path in Path("tests/integration/jobs").glob(pattern)
    if path.name not in SLOW
)
LIMIT_S: Final = 900
"""For all tests of one change."""
TEST_LIMIT_S: Final = 120
"""For one test. A change that ends a limit may show that, or a busy machine: it is unclear, and printed."""
_LOGGED: Final = "runs lib/"


class _Use(NamedTuple):
    """How long a test takes, seconds, and which scripts and functions of ``lib`` it runs."""

    seconds: float
    parts: list[str]


class Trials:
    """A plugin of pytest that runs the collected tests once for each change, in children."""

    def __init__(self, chosen: Sequence[Mutant], processes: int) -> None:
        self.survivors: list[Mutant] = []
        self.unclear: list[Mutant] = []
        self.passed_unchanged = False
        self._chosen = chosen
        self._processes = processes
        self._free = list(range(processes))
        self._running: list[_Trial] = []
        self._uses: dict[str, _Use] = {}
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)
        """How many changes of a script, and of a function, each test noticed."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the changes, after the scripts as they are."""
        if session.testsfailed or session.config.option.collectonly:
            return True
        self._running.append(_Trial(session.items, None, self._free.pop()))
        self._wait(0)
        if self.passed_unchanged:
            for mutant in self._chosen:
                self._wait(self._processes - 1)
                self._running.append(_Trial(self._tests_of(session, mutant), mutant, self._free.pop()))
            self._wait(0)
        return True

    def _tests_of(self, session: pytest.Session, mutant: Mutant) -> list[pytest.Item]:
        """Return the tests that use a script, in the order in which they are to run."""
        near, script = self._noticed[mutant.place], self._noticed[mutant.script]

        def order(item: pytest.Item) -> tuple[float, float, float]:
            name = item.nodeid
            return -near[name], -script[name], self._uses[name].seconds

        is_shared = mutant.script.startswith("lib/")
        part = mutant.place if is_shared and mutant.function else mutant.script.partition("/")[0]
        able = [item for item in session.items if part in self._uses[item.nodeid].parts]
        return sorted(able, key=order)

    def _wait(self, most: int) -> None:
        """Wait until no more than so many trials run."""
        while len(self._running) > most:
            for trial in [each for each in self._running if each.is_over()]:
                self._running.remove(trial)
                self._free.append(trial.place)
                self._take(trial)
            time.sleep(0.02)

    def _take(self, trial: _Trial) -> None:
        if trial.mutant is None:
            self.passed_unchanged = trial.passed
            self._uses = trial.uses
        elif trial.passed:
            self.survivors.append(trial.mutant)
            print(f"survived: {trial.mutant}", flush=True)
        elif trial.is_unclear:
            self.unclear.append(trial.mutant)
            print(f"unclear: {trial.mutant}", flush=True)
        elif trial.noticed_by:
            for part in (trial.mutant.script, trial.mutant.place):
                self._noticed[part][trial.noticed_by] += 1


class _Trial:
    """A child that runs tests with one change, or without any."""

    def __init__(self, tests: Sequence[pytest.Item], mutant: Mutant | None, place: int) -> None:
        self.mutant = mutant
        self.place = place
        self.passed = False
        self.noticed_by = ""
        """The test that failed; empty if the child was killed."""
        self.is_unclear = False
        """Whether it ended by a limit or an error instead of a test that failed."""
        self.uses: dict[str, _Use] = {}
        self._read: dict[Path, int] = {}
        """How much of each server's log is read."""
        self._end = time.monotonic() + LIMIT_S
        self._folder = tempfile.TemporaryDirectory(prefix="mutant-")
        self._report = Path(self._folder.name, "report.json")
        self._child = os.fork()
        if self._child == 0:
            status = 2
            try:
                status = self._run(tests)
            finally:
                os._exit(status)

    def is_over(self) -> bool:
        """Return whether the child has ended; a script that never ends is noticed, too."""
        done, status = os.waitpid(self._child, os.WNOHANG)
        if not done and time.monotonic() < self._end:
            return False
        self.passed = bool(done) and os.waitstatus_to_exitcode(status) == 0
        self.is_unclear = not self._report.exists()
        with suppress(ProcessLookupError):
            os.killpg(self._child, signal.SIGKILL)  # its server
        if not done:
            os.waitpid(self._child, 0)
        if self._report.exists():
            report = json.loads(self._report.read_text())
            self.noticed_by = report["noticed_by"]
            self.uses = {name: _Use(*use) for name, use in report["uses"].items()}
            self.is_unclear = max((use.seconds for use in self.uses.values()), default=0) >= TEST_LIMIT_S
        self._folder.cleanup()
        return True

    def _run(self, tests: Sequence[pytest.Item]) -> int:
        """Run the tests until one fails; return the exit status."""
        os.setsid()
        if tests:  # else nothing uses the script, and every change survives
            tests[0].config.pluginmanager.unregister(name="terminalreporter")
        os.environ["PYTEST_DEBUG_TEMPROOT"] = self._folder.name
        os.environ["PYTEST_XDIST_WORKER"] = f"gw{self.place}"
        ports.divide()
        if self.mutant is not None:
            _change(self.mutant)
        used = _record_scripts()
        if self.mutant is None:
            _log_functions()
        uses: dict[str, _Use] = {}
        noticed_by = ""
        for number, test in enumerate(tests, start=1):
            used.clear()
            began = time.monotonic()
            following = tests[number] if number < len(tests) else None
            test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            seconds = time.monotonic() - began
            uses[test.nodeid] = _Use(seconds, sorted({*used, *(["lib"] if used else []), *self._logged()}))
            if test.session.testsfailed:
                noticed_by = test.nodeid
                break
        self._report.write_text(json.dumps({"noticed_by": noticed_by, "uses": uses}))
        return 1 if noticed_by else 0

    def _logged(self) -> set[str]:
        """Return the functions of ``lib`` that servers have logged since the last call."""
        found: set[str] = set()
        for path in Path(self._folder.name).rglob("valkey.log"):
            with path.open("rb") as log:
                log.seek(self._read.get(path, 0))
                text = log.read()
                self._read[path] = log.tell()
            found.update(re.findall(rf"{_LOGGED}(\w+)", text.decode(errors="replace")))
        return {f"lib/{function}" for function in found}


def _record_scripts() -> set[str]:
    """Return a set to which the name of each script that runs is added from now on."""
    used: set[str] = set()
    run = scripts.Scripts.run

    def recorded(self: scripts.Scripts, name: str, *args: str | float) -> Any:
        used.add(name)
        return run(self, name, *args)

    scripts.Scripts.run = recorded  # type: ignore[method-assign]
    return used


def _log_functions() -> None:
    """Let each function of ``lib`` write its name into the server's log, once for each run of a script."""
    own = scripts.library()
    log = f"redis.log(redis.LOG_WARNING, '{_LOGGED}\\1')"
    logging = FUNCTION.sub(rf"\g<0> if not ran.\1 then ran.\1 = true {log} end", own)
    _replace(own, f"local ran = {{}}\n{logging}")


def _change(mutant: Mutant) -> None:
    """Let the store run a script with a change."""
    own = (FOLDER / f"{mutant.script}.lua").read_text()
    _replace(own, changed(own, mutant))


def _replace(before: str, after: str) -> None:
    """Let the store run another text where a script has one."""
    original = scripts.source.__wrapped__

    @cache  # as that of the store: a test clears it
    def source(name: str) -> str:
        return original(name).replace(before, after)

    scripts.source = source


def scripts_and_library() -> list[str]:
    """Return the names of all scripts, and of the files with what they share, without their ending."""
    found = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.lua")}
    return sorted(found - {"schema"})


def try_changes(chosen: Sequence[Mutant], processes: int) -> Trials:
    """Try the changes, so many at the same time."""
    trials = Trials(chosen, processes)
    options = ["-q", "-k", "not memory", "-p", "no:cacheprovider", "-p", "no:randomly"]
    pytest.main([*options, "--timeout", str(TEST_LIMIT_S), *TESTS], plugins=[trials])
    return trials


def main(arguments: list[str]) -> int:
    """Try the changes; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="without the ending; all but the schema if none is named")
    parser.add_argument("--every", type=int, default=1, help="try each Nth change only")
    parser.add_argument("--processes", type=int, default=2, help="so many changes at the same time")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    asked = parser.parse_args(arguments)
    names = asked.scripts or scripts_and_library()
    found = [each for name in names for each in mutants(name, (FOLDER / f"{name}.lua").read_text())]
    chosen = found[:: asked.every]
    if asked.list:
        print(*chosen, sep="\n")
        return 0
    trials = try_changes(chosen, asked.processes)
    if not trials.passed_unchanged:
        print("the tests of the store fail without any change")
        return 2
    tried, left, unclear = (
        Counter(each.script for each in group) for group in (chosen, trials.survivors, trials.unclear)
    )
    for name, count in tried.items():
        noticed = count - left[name] - unclear[name]
        print(f"{name}: {count} tried, {noticed} noticed, {left[name]} not, {unclear[name]} unclear")
    print(
        f"{len(chosen)} of {len(found)} changes tried, {left.total()} not noticed, {unclear.total()} unclear"
    )
    return 1 if (left.total() + unclear.total()) * 10 > len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
