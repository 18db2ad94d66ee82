"""The programs and commands of README and docs, run as they are printed.

They run beside the stack of the session, which began without weights. The folder of each program holds what
its page says: ``.stemline`` of the stack, ``.venv/bin/stemline``, ``song.mp3``, and folders of songs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.media import Kind, make, tone
from tests.paths import REPOSITORY
from tests.support import snippets

_MODULE = Path(__file__).stem


def block(test: str) -> str:
    """The block that a test of this module runs; where several pages have it, it is the same on all."""
    (code,) = set(snippets.run_by(f"{_MODULE}::{test}"))
    return code


@pytest.fixture
def folder(where: dict[str, Any], stack_home: Path, tmp_path: Path) -> Path:
    """The folder in which a reader works."""
    (tmp_path / ".stemline").symlink_to(stack_home)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    make(tmp_path / "song.mp3", Kind("mp3", "libmp3lame"), tone(3 * 44_100))
    return tmp_path


def run(folder: Path, *command: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder, without the variables of a service."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEMLINE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def stems_in(folder: Path, *names: str) -> bool:
    """Whether the stems are there and are more than a header."""
    return all((folder / name).stat().st_size > 10_000 for name in names)


def test_make_up() -> None:
    """`make up` runs the command that started the stack of these tests."""
    assert "make up" == block("test_make_up").strip()
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "up"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stemline up" == shown.stdout.splitlines()[-1].strip()


def test_program_of_the_readme(folder: Path) -> None:
    """The Python program of the README downloads both stems."""
    ran = run(folder, sys.executable, "-c", block("test_program_of_the_readme"))
    assert 0 == ran.returncode, ran.stderr
    assert "Success 100 %" in ran.stdout
    assert stems_in(folder, "stems/song-voice.mp3", "stems/song-background.mp3")


def test_program_of_the_readme_with_a_file_that_is_no_song(folder: Path) -> None:
    """When the job fails, the program of the README prints code and message and ends with an error."""
    (folder / "song.mp3").write_text("not a song")
    ran = run(folder, sys.executable, "-c", block("test_program_of_the_readme"))
    assert 1 == ran.returncode
    assert re.search(r"^InvalidContent: .+\.$", ran.stderr, re.MULTILINE)
    assert not (folder / "stems").exists()


def test_program_with_the_sdk(folder: Path) -> None:
    """The Python program with the vendor's SDK downloads both stems."""
    ran = run(folder, sys.executable, "-c", block("test_program_with_the_sdk"))
    assert 0 == ran.returncode, ran.stderr
    assert "Success 100 %" in ran.stdout
    assert stems_in(folder, "voice.mp3", "background.mp3")


def test_program_with_the_sdk_and_a_file_that_is_no_song(folder: Path) -> None:
    """When the job fails, the program with the SDK prints code and message and ends with an error."""
    (folder / "song.mp3").write_text("not a song")
    ran = run(folder, sys.executable, "-c", block("test_program_with_the_sdk"))
    assert 1 == ran.returncode
    assert re.search(r"^InvalidContent: .+\.$", ran.stderr, re.MULTILINE)
    assert not (folder / "voice.mp3").exists()


def test_submit(folder: Path) -> None:
    """The commands of the first page separate a song and a folder, and list the jobs."""
    for name in ("album/one.mp3", "album/live/two.mp3"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / "song.mp3", folder / name)
    ran = run(folder, "sh", "-ec", block("test_submit"))
    assert 0 == ran.returncode, ran.stderr
    assert stems_in(folder, "stems/song-voice.wav", "stems/song-background.wav")
    assert stems_in(folder, "stems/one-voice.mp3", "stems/live/two-background.mp3")
    assert 3 <= ran.stdout.count("\tSuccess\t")


def test_many_tracks(folder: Path) -> None:
    """The commands of the page on many tracks do what it says of a folder with a file that is no song."""
    (folder / "songs").mkdir()
    shutil.copyfile(folder / "song.mp3", folder / "songs" / "good.mp3")
    (folder / "songs" / "bad.mp3").write_text("not a song")
    commands = block("test_many_tracks").splitlines()
    counted = run(folder, "sh", "-ec", commands[0])
    assert "2 tracks: 2 new" in counted.stdout
    assert not list((folder / "stems").glob("*.mp3"))
    run(folder, "sh", "-ec", commands[1])
    assert stems_in(folder, "stems/good-voice.mp3", "stems/good-background.mp3")
    assert "InvalidContent" in (folder / "stems" / "stemline-summary.csv").read_text()
    shutil.copyfile(folder / "song.mp3", folder / "songs" / "bad.mp3")
    again = run(folder, "sh", "-ec", commands[2])
    assert 0 == again.returncode, again.stderr
    assert stems_in(folder, "stems/bad-voice.mp3")


def test_curl(folder: Path) -> None:
    """The shell script signs its requests itself, and downloads both stems."""
    ran = run(folder, "sh", "-c", block("test_curl"))
    assert 0 == ran.returncode, ran.stderr
    assert "Success 100 %" in ran.stdout
    assert stems_in(folder, "voice.mp3", "background.mp3")


def test_curl_with_a_file_that_is_no_song(folder: Path) -> None:
    """When the job fails, the shell script prints code and message and ends with an error."""
    (folder / "song.mp3").write_text("not a song")
    ran = run(folder, "sh", "-c", block("test_curl"))
    assert 1 == ran.returncode
    assert re.search(r"^InvalidContent: .+\.$", ran.stderr, re.MULTILINE)


def test_separate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the README fetch the weights and separate a song without a service."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    ran = run(folder, "sh", "-ec", block("test_separate"))
    assert 0 == ran.returncode, ran.stderr
    assert list((folder / "cache").rglob("model.index"))
    assert stems_in(folder, "stems/song-vocals.flac", "stems/song-accompaniment.flac")
