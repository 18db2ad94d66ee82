"""Tools for tests: an in-memory job store, a fixed clock, scripted servers and test data.

For the tests of applications that use Stemline as much as for the project's own. The product never imports
this package, except for the command ``stemline demo``, which uses the demo song. A module whose packages are
not among the dependencies of ``stemline`` names the extra that brings them.
"""

from __future__ import annotations

from stemline.testing.clock import FixedClock
from stemline.testing.in_memory_store import InMemoryStore

__all__ = ["FixedClock", "InMemoryStore"]
