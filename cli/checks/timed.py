"""Runs checks side by side, each within its own time: what hangs delays no other check and no report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import Thread
from typing import Final

from stemline.cli.checks.findings import CheckContext, Finding, fail, skip
from stemline.jobs.reasons import reason_of
from stemline.runtime.extras import extra_of

Check = Callable[[CheckContext], Iterator[Finding]]
SERVER_S: Final = 20.0
"""Longest time of a check that asks others."""
LOCAL_S: Final = 120.0
"""Longest time of a check that works on this machine alone: a large network takes a while to load."""
LOCAL: Final = frozenset({"weights", "device"})
_ASKED: Final[Mapping[str, str]] = {
    "service": "the API that the commands use, and its bucket",
    "flower": "Flower",
    "store": "STEMLINE_REDIS_URL",
    "broker": "STEMLINE_BROKER_URL, or STEMLINE_REDIS_URL",
    "capacity": "STEMLINE_REDIS_URL",
    "buckets": "STEMLINE_BUCKETS",
    "callbacks": "--receiver and STEMLINE_CALLBACK_PROXY",
    "telemetry": "STEMLINE_OTLP_ENDPOINT",
    "weights": "STEMLINE_MODELS_DIR",
    "device": "STEMLINE_MODELS_DIR and STEMLINE_DEVICE",
    "scratch": "STEMLINE_SCRATCH_DIR",
}
"""What a check asks, by its name."""


def limit_of(name: str) -> float:
    """Return how long a check may take, s."""
    return LOCAL_S if name in LOCAL else SERVER_S


class TimedCheck:
    """A check that runs, in a thread of its own, and what it has found so far."""

    def __init__(self, name: str, check: Check, context: CheckContext, limit_s: float) -> None:
        self._name = name
        self._limit_s = limit_s
        self._found: list[Finding] = []
        self._end = time.monotonic() + limit_s
        # A thread that hangs, as in a look-up of a name, cannot be ended; it does not outlive the process.
        self._thread = Thread(target=self._run, args=(check, context), name=f"check-{name}", daemon=True)
        self._thread.start()

    def result(self) -> tuple[list[Finding], bool]:
        """Return the findings, and whether the check ended in its time; waits until either is known."""
        self._thread.join(max(0.0, self._end - time.monotonic()))
        if not self._thread.is_alive():
            return self._found, True
        message = f"the check did not end within {self._limit_s:g} s"
        fix = f"something does not answer, of what this names: {_ASKED.get(self._name, 'the settings')}"
        return [*self._found, fail(self._name, message, fix)], False

    def _run(self, check: Check, context: CheckContext) -> None:
        try:
            for finding in check(context):
                self._found.append(finding)
        except Exception as error:  # noqa: BLE001 - one check must not hide the others
            extra = extra_of(error.name or "") if isinstance(error, ModuleNotFoundError) else None
            if extra is not None:  # servers have the packages of their part alone
                self._found.append(skip(self._name, f"the extra `{extra}` is not installed here"))
                return
            fix = "please report it, with the version of Stemline and the settings of this check"
            self._found.append(fail(self._name, f"the check failed: {reason_of(error)}", fix))


def run_checks(
    checks: Mapping[str, Check], context: CheckContext, limit_of: Callable[[str], float] = limit_of
) -> tuple[list[Finding], bool]:
    """Run checks at the same time.

    Args:
        checks: By their names.
        context: Context of all of them.
        limit_of: Returns how long the check of a name may take, s.

    Returns:
        The findings in the order of the checks, and whether all checks ended; those that did not still run.
    """
    running = [TimedCheck(name, check, context, limit_of(name)) for name, check in checks.items()]
    results = [each.result() for each in running]
    return [finding for found, _ in results for finding in found], all(ended for _, ended in results)
