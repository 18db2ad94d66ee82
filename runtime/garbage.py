"""How often Python looks for garbage in cycles.

The modules that a process imports are hundreds of thousands of objects that stay: at Python's usual intervals
the collector looks through them again and again, for a sixth of the start's processor time.
"""

from __future__ import annotations

import gc
from typing import Final

_USUAL: Final = gc.get_threshold()
_STARTING: Final = 50_000
"""New objects between two collections while a process starts; 700 are usual."""


def collect_seldom() -> None:
    """Collect seldom from now on, as suits a start and a short command."""
    gc.set_threshold(_STARTING)


def collect_as_usual() -> None:
    """Collect at the usual intervals from now on, as suits a process whose cycles may hold much memory."""
    gc.set_threshold(*_USUAL)
