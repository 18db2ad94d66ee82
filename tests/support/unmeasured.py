"""Processes in which coverage is not measured."""

from __future__ import annotations

from typing import Final

UNMEASURED: Final = {"COVERAGE_PROCESS_CONFIG": ""}
"""Variables of a process whose lines other tests run too: measuring takes as long as running them."""
