"""What a job has freed is returned to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from stemline.workers import freed_memory

MIB = 1 << 20


def resident() -> int:
    """Memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_holes_between_what_is_still_used_are_returned():
    """glibc keeps freed pages that do not end its memory; afterwards the system has them."""
    if freed_memory._trim() is None:
        pytest.skip("no glibc")
    blocks = [b"x" * 100_000 for _ in range(1200)]
    del blocks[::2]
    before = resident()
    freed_memory.return_freed_memory()
    assert before - resident() > 20 * MIB
    assert len(blocks) == 600


@pytest.mark.parametrize("library", [SimpleNamespace(), SimpleNamespace(malloc_trim=None)])
def test_other_libraries_are_left_alone(monkeypatch, library):
    """Where the C library has no such function, nothing is called."""
    asked: list[object] = []

    def load(name: object) -> object:
        asked.append(name)
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    freed_memory._trim.cache_clear()
    freed_memory.return_freed_memory()
    assert [None] == asked
    freed_memory._trim.cache_clear()
