"""How the runs of ``make simulate`` add up."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.kept_runs import SEEDS, KeptRuns


def content(folder: Path) -> dict:
    return json.loads((folder / "found.json").read_text())


def test_runs_of_one_version_add_up(tmp_path: Path) -> None:
    """Later runs begin with the first seed that is left, and what they find is added."""
    kept = KeptRuns("found", tmp_path)
    assert kept.first_seed(1) == 1
    kept.add(seed=1, runs=10, steps=900, cpu_s=2.0)
    kept.add(seed=11, runs=5, steps=400, cpu_s=1.0)
    kept.add(seed=1 + SEEDS, runs=7, steps=500, cpu_s=1.5)
    again = KeptRuns("found", tmp_path)
    assert (again.first_seed(1), again.first_seed(1 + SEEDS)) == (16, 8 + SEEDS)
    found = content(tmp_path)["figures"]
    assert {key: found[key]["values"] for key in ("runs", "steps", "cpu")} == {
        "runs": [22.0],
        "steps": [1800.0],
        "cpu": [4.5],
    }
    page = (tmp_path / "found.md").read_text()
    assert "| 1 to 15 |" in page
    assert f"| {1 + SEEDS:,} to {7 + SEEDS:,} |" in page


def test_runs_of_another_version_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older version did says nothing about this one."""
    KeptRuns("found", tmp_path).add(seed=1, runs=10, steps=900, cpu_s=2.0)
    monkeypatch.setattr("benchmarks.report._version", lambda _: "99.0")
    assert KeptRuns("found", tmp_path).first_seed(1) == 1


def test_processes_add_at_the_same_time(tmp_path: Path) -> None:
    """None overwrites what another one found."""

    def add(number: int) -> None:
        KeptRuns("found", tmp_path).add(seed=number * SEEDS, runs=1, steps=10, cpu_s=0.1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert content(tmp_path)["figures"]["runs"]["values"] == [4.0]


def test_without_a_name_nothing_is_kept(tmp_path: Path) -> None:
    """A run to try something leaves the files alone."""
    kept = KeptRuns("", tmp_path)
    kept.add(seed=1, runs=10, steps=900, cpu_s=2.0)
    assert kept.first_seed(1) == 1
    assert not list(tmp_path.iterdir())
