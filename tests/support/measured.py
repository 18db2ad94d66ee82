"""The processes in which coverage counts lines.

Counting costs a quarter of a second of processor time for each start. So the processes that a test starts are
left out, except those that get `MEASURED`: the ones that run what no other test runs.
"""

from __future__ import annotations

import os
from typing import Final

_VARIABLE: Final = "COVERAGE_PROCESS_CONFIG"

MEASURED: Final[dict[str, str]] = {}
"""Variables of a process in which lines are counted; empty where nothing is counted at all."""


def leave_out_processes() -> None:
    """Count no lines in the processes that this one starts from now on, without `MEASURED`."""
    if _VARIABLE in os.environ:
        MEASURED[_VARIABLE] = os.environ.pop(_VARIABLE)
