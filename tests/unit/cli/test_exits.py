"""How the program ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stemline.cli.exits import ended_at_once

_PROGRAM = """
import threading
from stemline.cli.exits import ended_at_once

threading.Thread(target=threading.Event().wait).start()  # as one that is in the code of a library
with ended_at_once():
    try:
        print("printed", end="")
        raise SystemExit(130)
    finally:
        print(" and cleaned up", end="")
"""


def test_an_interrupted_program_waits_for_no_thread() -> None:
    """After its clean-up it ends with its status and everything it printed, whatever threads still do."""
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (130, "printed and cleaned up", "") == (ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("status", [0, 1, 2])
def test_other_ends_are_the_interpreters(status: int) -> None:
    """A program that was not interrupted ends as Python does it."""
    with pytest.raises(SystemExit, match=str(status)), ended_at_once():
        raise SystemExit(status)
