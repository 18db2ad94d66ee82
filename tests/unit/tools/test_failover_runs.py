"""How the runs of ``make failover`` add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.failover_runs import Outcome, Runs


def outcome(**values: object) -> Outcome:
    made = Outcome("replica", 7, Counter(killed=3), accepted=40, replaced_s=[2.0, 3.0, 4.0])
    made.back_s, made.states = {"killed": [1.0, 2.0, 5.0]}, Counter(Success=40)
    vars(made).update(values)
    return made


def test_runs_of_one_version_add_up(tmp_path: Path) -> None:
    """A later run adds to those that the file keeps, each with its seed, and one with faults as well."""
    Runs("found", tmp_path).add(outcome())
    Runs("found", tmp_path).add(outcome(seed=8, lost=1, faults=["lost: j1"]))
    again = Runs("found", tmp_path)
    total = again.total("replica")
    assert total is not None
    assert (again.count("replica"), again.count("process")) == (6, 0)
    assert (total.accepted, total.lost, total.faults) == (80, 1, ["lost: j1"])
    assert total.back_s == {"killed": [1.0, 2.0, 5.0] * 2}
    assert total.states == Counter(Success=80)
    assert [run["seed"] for run in json.loads((tmp_path / "found.json").read_text())["runs"]] == [7, 8]


def test_runs_of_another_version_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older version did says nothing about this one."""
    Runs("found", tmp_path).add(outcome())
    monkeypatch.setattr("benchmarks.report._version", lambda _: "99.0")
    later = Runs("found", tmp_path)
    assert later.count("replica") == 0
    later.add(outcome(seed=9))
    assert Runs("found", tmp_path).count("replica") == 3
