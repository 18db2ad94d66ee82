"""Checksums that are known from before."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from stemline.models import checksums
from stemline.models.checksums import checksum_directory, known_sha256


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Return the files that are read, in a home of their own, where changes count as settled at once."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(checksums, "_SETTLED_NS", -1)
    read: list[Path] = []

    def noted(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(checksums, "sha256", noted)
    return read


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    """The second program that asks gets what the first one found."""
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    assert [sha256_of(b"weights")] * 2 == [known_sha256(file), known_sha256(file)]
    assert [file] == reads


def replaced(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(b"weighty")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


def rewritten(file: Path) -> None:
    before = file.stat()
    file.write_bytes(b"weighty")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(b"weighty")
    file.unlink()
    file.symlink_to(other)


@pytest.mark.parametrize("change", [replaced, rewritten, linked])
def test_a_file_that_changed_is_read_again(tmp_path: Path, reads: list[Path], change: object) -> None:
    """Whoever can write the file cannot hide it, though size and time are as before."""
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    known_sha256(file)
    time.sleep(0.02)  # a clock of the kernel may stand still for some milliseconds
    assert callable(change)
    change(file)
    assert sha256_of(b"weighty") == known_sha256(file)
    assert 2 == len(reads)


def test_a_file_that_has_just_changed_is_read_again(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may change twice within one tick of its clock, so that nothing is known of it for a while."""
    monkeypatch.setattr(checksums, "_SETTLED_NS", 60_000_000_000)
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    known_sha256(file)
    known_sha256(file)
    assert 2 == len(reads)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_nothing_is_believed_that_others_may_write(tmp_path: Path, reads: list[Path], mode: int) -> None:
    """A folder of checksums that others may write to is neither read nor written."""
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    known_sha256(file)
    checksum_directory().chmod(mode)
    assert sha256_of(b"weights") == known_sha256(file)
    assert 2 == len(reads)


@pytest.mark.parametrize("record", [b"", b"\xff\xfe", b"one line", b"a\nb\nc\n"])
def test_a_damaged_record_is_as_none(tmp_path: Path, reads: list[Path], record: bytes) -> None:
    """What cannot be read is written again."""
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    known_sha256(file)
    (path,) = checksum_directory().glob("*.known")
    path.write_bytes(record)
    assert [sha256_of(b"weights")] * 2 == [known_sha256(file), known_sha256(file)]
    assert 2 == len(reads)


def test_without_a_home_every_file_is_read(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service whose file system cannot be written to starts all the same."""
    monkeypatch.setattr(checksums, "checksum_directory", lambda: Path("/proc/none"))
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    assert [sha256_of(b"weights")] * 2 == [known_sha256(file), known_sha256(file)]
    assert 2 == len(reads)


def test_a_missing_file_is_an_error(tmp_path: Path, reads: list[Path]) -> None:
    """What was known of a file that is gone does not count."""
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    known_sha256(file)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        known_sha256(file)
