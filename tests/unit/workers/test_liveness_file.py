"""What the age of a liveness file says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stemline.workers.liveness import LivenessFile, age_s


def test_a_touched_file_is_young(tmp_path: Path) -> None:
    """Its age is in seconds since the touch."""
    LivenessFile(tmp_path / "alive").touch()
    age = age_s(tmp_path / "alive")
    assert age is not None
    assert 0 <= age < 60
    (tmp_path / "alive").write_text(f"{time.monotonic() - 1000:015.3f}\n")
    assert age_s(tmp_path / "alive") == pytest.approx(1000, abs=60)


@pytest.mark.parametrize("content", [None, "", "soon\n", "999999999999.000\n"])
def test_a_file_without_a_time_of_this_boot_has_no_age(tmp_path: Path, content: str | None) -> None:
    """None, a damaged one, and one that was touched before a reboot, which began the clock anew."""
    if content is not None:
        (tmp_path / "alive").write_text(content)
    assert age_s(tmp_path / "alive") is None
