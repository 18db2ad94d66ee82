from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemline.separation.cpus import available_cpus


@pytest.fixture(autouse=True)
def sixteen(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("9900000 100000", 16),
    ],
)
def test_a_container_has_what_its_quota_gives(tmp_path: Path, limit: str, expected: int) -> None:
    """A worker limited to two processors on a large machine starts two threads, not sixteen."""
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert expected == available_cpus(tmp_path)


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("300000", 3)])
def test_older_control_groups_count_too(tmp_path: Path, quota: str, expected: int) -> None:
    """The quota of version 1 is read where there is no version 2."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert expected == available_cpus(tmp_path)


def test_without_control_groups_affinity_decides(tmp_path: Path) -> None:
    """Outside of containers all processors of the affinity are used."""
    assert available_cpus(tmp_path) == 16
