"""How soon planted mistakes were found, and how that adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation.kept_mistakes import KeptMistakes
from tests.simulation.mistakes import MISTAKES

FIRST, SECOND = MISTAKES[0].name, MISTAKES[1].name


def test_first_seeds_of_one_version_add_up(tmp_path: Path) -> None:
    """The table has the median over all first seeds that were taken, in the order of the mistakes."""
    for mistake, steps in ((SECOND, [70]), (FIRST, [300]), (FIRST, [100, 2000])):
        KeptMistakes("found", tmp_path).add(mistake, steps)
    assert KeptMistakes("found", tmp_path).steps(FIRST) == [300, 100, 2000]
    rows = [line for line in (tmp_path / "found.md").read_text().splitlines() if line.startswith("| ")]
    assert rows[-2:] == [f"| {FIRST} | 300 | 3 |", f"| {SECOND} | 70 | 1 |"]
    assert json.loads((tmp_path / "found.json").read_text())["figures"]["mistakes"]["values"] == [2.0]


def test_what_another_version_found_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older version did says nothing about this one."""
    KeptMistakes("found", tmp_path).add(FIRST, [300])
    monkeypatch.setattr("benchmarks.report._version", lambda _: "99.0")
    assert KeptMistakes("found", tmp_path).steps(FIRST) == []


def test_without_a_name_nothing_is_kept(tmp_path: Path) -> None:
    """A search to try something leaves the files alone."""
    kept = KeptMistakes("", tmp_path)
    kept.add(FIRST, [300])
    assert (kept.steps(FIRST), list(tmp_path.iterdir())) == ([], [])
