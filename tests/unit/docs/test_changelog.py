"""The changelog."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

_CHANGELOG = Path(__file__).parents[3] / "CHANGELOG.md"


def test_no_change_is_described_twice() -> None:
    """No two entries begin alike, as they do when an entry that two branches edited is kept twice."""
    entries = [line for line in _CHANGELOG.read_text().splitlines() if line.startswith("- ")]
    twice = [start for start, count in Counter(entry[:60] for entry in entries).items() if count > 1]

    assert entries
    assert not twice
