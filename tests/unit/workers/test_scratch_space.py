"""A job that its worker's disk can never hold ends; one whose space others take waits."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from stemline.separation.errors import DiskFull, DiskTooSmall
from stemline.workers.scratch import scratch
from stemline.workers.scratch_space import ScratchSpace

DISK = 1_000_000
"""Size of the disk, bytes."""


@pytest.fixture
def foreign(monkeypatch, tmp_path: Path) -> list[int]:
    """Let the folder be a small disk; what the list holds is taken by files of other programs."""
    found: list[int] = []

    def usage(_: Path) -> SimpleNamespace:
        files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "expected"]
        used = sum(found) + sum(file.stat().st_size for file in files)
        return SimpleNamespace(total=DISK + 50_000, used=used, free=DISK - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return found


def fault_of(space: ScratchSpace, error: Exception) -> type[BaseException]:
    """The kind of the error that an error of an attempt becomes."""

    def fail() -> None:
        with space.faults():
            raise error

    try:
        fail()
    except Exception as fault:  # noqa: BLE001 - its kind is the result
        return type(fault)
    raise AssertionError


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("max_bytes", [None, 10 * DISK, 300_000])
def test_what_an_empty_folder_could_not_hold_is_refused_in_advance(tmp_path, max_bytes):
    """The disk, or less if the operator set less, holds source and stems, or the job is too large for it."""
    capacity = min(DISK, max_bytes or DISK)
    with scratch(tmp_path) as folder:
        space = ScratchSpace(folder, max_bytes)
        space.expect_source(capacity // 2)
        space.expect(capacity // 2)
        with pytest.raises(
            DiskTooSmall, match=r"take \d\.\d MB; the worker's scratch folder holds \d\.\d MB\."
        ):
            space.expect(1)
        with pytest.raises(DiskTooSmall):
            ScratchSpace(folder, max_bytes).expect_source(capacity + 1)


@pytest.mark.parametrize("max_bytes", [None, DISK])
def test_what_others_write_or_have_announced_is_left_to_them(tmp_path, foreign, max_bytes):
    """A job that fits an empty folder waits while others take, or are going to take, the space."""
    with scratch(tmp_path) as folder:
        space = ScratchSpace(folder, max_bytes)
        with scratch(tmp_path) as other:
            ScratchSpace(other, max_bytes).expect(600_000)
            (other / "stem.wav").write_bytes(bytes(200_000))  # a part of what it announced
            with pytest.raises(DiskFull) as raised:
                space.expect(400_001)
            assert type(raised.value) is DiskFull
            space.expect(400_000)
        space.expect(DISK - 400_000)
    if max_bytes is None:
        foreign.append(DISK // 2)
        with scratch(tmp_path) as folder, pytest.raises(DiskFull) as raised:
            ScratchSpace(folder).expect(DISK // 2 + 1)
        assert type(raised.value) is DiskFull


@pytest.mark.usefixtures("foreign")
def test_an_announcement_is_kept_as_it_grows(tmp_path):
    """A source of unknown length is announced by what has arrived, and not twice."""
    with scratch(tmp_path) as folder:
        space = ScratchSpace(folder)
        for received in range(0, DISK + 1, DISK // 4):
            space.expect_source(received)
            (folder / "source").write_bytes(bytes(received))
        with pytest.raises(DiskTooSmall):
            space.expect_source(DISK + 1)


FULL = [DiskFull(), *(OSError(number, "full") for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))]


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(getattr(error, "errno", "")))
def test_a_full_disk_is_the_fault_of_the_job_that_had_most_of_it(tmp_path, foreign, error):
    """Where an unexpectedly large job had most of the disk, it is too large; where others had, it waits."""
    with scratch(tmp_path) as folder:
        space = ScratchSpace(folder)
        assert DiskTooSmall is fault_of(space, error)
        foreign.append(DISK * 2 // 3)
        assert DiskFull is fault_of(space, error)
        foreign.clear()
        with scratch(tmp_path) as other:
            (other / "stem.wav").write_bytes(bytes(DISK * 2 // 3))
            assert DiskFull is fault_of(space, error)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("x"), DiskTooSmall()])
def test_other_errors_stay_what_they_are(tmp_path, error):
    """Only a file system that takes no more says anything about space."""
    with scratch(tmp_path) as folder:
        assert type(error) is fault_of(ScratchSpace(folder), error)


@pytest.mark.usefixtures("foreign")
def test_a_job_that_writes_more_than_it_announced_is_stopped_at_the_limit(tmp_path):
    """Before all jobs take more than the operator allows, the one that exceeds what it announced ends."""
    with scratch(tmp_path) as folder, scratch(tmp_path) as other:
        space, honest = ScratchSpace(folder, 500_000), ScratchSpace(other, 500_000)
        honest.expect(100_000)
        (other / "stem.wav").write_bytes(bytes(100_000))
        (folder / "stem.wav").write_bytes(bytes(400_000))
        assert (False, False) == (space.is_exceeded(), honest.is_exceeded())
        (folder / "bass.wav").write_bytes(bytes(1))
        assert (True, False) == (space.is_exceeded(), honest.is_exceeded())
        assert DiskTooSmall is type(space.fault())
        assert not ScratchSpace(folder).is_exceeded()
