"""Processes that end with their parent."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from stemline.runtime.parent import end_with_parent
end_with_parent(os.getppid() + int(sys.argv[1]))
print("goes on")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent")
@pytest.mark.parametrize(("difference", "status", "output"), [(0, 0, "goes on\n"), (1, 1, "")])
def test_a_process_whose_parent_has_ended_ends(difference: int, status: int, output: str) -> None:
    """A process whose parent is not the one that forked it has lost that one, and ends at once."""
    command = [sys.executable, "-c", PROGRAM, str(difference)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (status, output) == (done.returncode, done.stdout)
