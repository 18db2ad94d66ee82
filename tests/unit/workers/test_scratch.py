"""Scratch folders are removed after the attempt, also if it was killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from stemline.runtime import bootstrap
from stemline.runtime.errors import UnusableFolder
from stemline.runtime.settings import Settings
from stemline.workers.scratch import check_scratch, clear_stale, parent_of_scratch, scratch


def test_a_folder_is_removed_after_its_block(tmp_path: Path) -> None:
    """The folder is removed when the block ends, also by an exception."""

    def attempt() -> None:
        with scratch(tmp_path) as folder:
            (folder / "stem.wav").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt()
    assert [] == list(tmp_path.iterdir())


def test_folders_in_use_stay(tmp_path: Path) -> None:
    """Folders of running attempts, and other folders, are kept."""
    (tmp_path / "other").mkdir()
    with scratch(tmp_path) as folder:
        assert 0 == clear_stale(tmp_path)
        assert folder.is_dir()
    assert (tmp_path / "other").is_dir()


def test_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    """The folder of a killed process is removed."""
    code = (
        "import os, signal, sys; from pathlib import Path; from stemline.workers.scratch import scratch\n"
        "with scratch(Path(sys.argv[1])) as f:\n"
        "    (f / 'x').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert 1 == len(list(tmp_path.iterdir()))
    assert 1 == clear_stale(tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_left_before_it_was_locked_is_removed_later(tmp_path: Path) -> None:
    """A process killed between creating and locking leaves an empty folder, removed after a minute."""
    old, new = tmp_path / "stemline-new-a", tmp_path / "stemline-new-b"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    clear_stale(tmp_path)
    assert [new] == list(tmp_path.iterdir())


def test_a_new_folder_is_not_removed(tmp_path: Path) -> None:
    """While one thread removes stale folders without pause, each of 300 attempts keeps its folder."""
    over = threading.Event()

    def clear() -> None:
        while not over.is_set():
            clear_stale(tmp_path)

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for _ in range(300):
            with scratch(tmp_path) as folder:
                (folder / "source").write_bytes(b"x")
                assert (folder / "source").exists()
    finally:
        over.set()
        thread.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "a file", "read-only"])
def test_a_worker_refuses_a_folder_that_it_cannot_write_to(kind: str, tmp_path: Path) -> None:
    """A worker whose scratch folder fails every job says which folder and why, before it claims one."""
    folder = {"read-only": Path("/proc")}.get(kind, tmp_path / "scratch")
    if kind == "a file":
        folder.write_text("")

    with pytest.raises(UnusableFolder, match=f"STEMLINE_SCRATCH_DIR: {folder}: "):
        bootstrap.separation_worker(Settings(scratch_dir=folder))


def test_the_default_is_a_folder_that_others_cannot_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the system's temporary folder each user has a folder of its own, which is used again."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch(None) as first, scratch(None) as second:
        assert first.parent == second.parent == parent_of_scratch(None)
    assert parent_of_scratch(None).parent == tmp_path
    assert 0o700 == stat.S_IMODE(parent_of_scratch(None).stat().st_mode)


@pytest.mark.parametrize("kind", ["a link", "a file", "writable for all"])
def test_a_default_folder_that_others_made_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another user put there before is not used, whatever it is."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, other = tmp_path / f"stemline-{os.geteuid()}", tmp_path / "other"
    other.mkdir()
    if kind == "a link":
        folder.symlink_to(other)
    elif kind == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        folder.chmod(0o777)

    with pytest.raises(UnusableFolder, match=f"STEMLINE_SCRATCH_DIR: {folder}: "):
        check_scratch(None)
    assert [] == list(other.iterdir())
