"""Which files `stemline separate` separates, and that none of them is replaced by a stem."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from stemline.cli.source_files import SourceFile, check_stems, source_files

_STEMS = ("vocals", "accompaniment")


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with songs at three depths, and links that lead in circles."""
    folder = tmp_path / "music"
    (folder / "a" / "b").mkdir(parents=True)
    for place in ("song.wav", "a/first.wav", "a/b/second.wav"):
        (folder / place).write_text(place)
    (folder / "a" / "up").symlink_to("..")
    (folder / "a" / "b" / "top").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def paths(*sources: str) -> list[str]:
    """The files that sources mean."""
    return [str(each.path) for each in source_files(sources, Path("out"))]


ALL = ["music/a/b/second.wav", "music/a/first.wav", "music/song.wav"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("music/**", ALL),
        ("music/**/*.wav", ALL),
        ("music/**/**/*.wav", ALL),
        ("**/*.wav", ALL),
        ("music/**/*", ALL),
        ("music/**/b/*.wav", ALL[:1]),
        ("music/**/f*.wav", ALL[1:2]),
        ("music/*.wav", ALL[2:]),
        ("music", [ALL[2], *ALL[1:2], ALL[0]]),
        ("music/a/up/*.wav", ["music/a/up/song.wav"]),
    ],
)
@pytest.mark.usefixtures("music")
def test_a_pattern_means_each_file_once(pattern: str, expected: list[str]) -> None:
    """Links to folders lead no pattern in circles; a link that the pattern names itself is followed."""
    assert sorted(expected) == sorted(paths(pattern))


def test_a_pipe_is_called_so(tmp_path: Path) -> None:
    """A pipe exists: the message says what it is, and what to do."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(click.UsageError, match="is a pipe or a device"):
        paths(str(tmp_path / "pipe"))


@pytest.mark.usefixtures("music")
def test_an_absolute_pattern(tmp_path: Path) -> None:
    """A pattern may begin at the root."""
    assert [str(tmp_path / each) for each in ALL] == sorted(paths(f"{tmp_path}/**/*.wav"))


@pytest.mark.parametrize(
    "other", ["./music/song.wav", "music/../music/song.wav", "music/a/up/song.wav", "music/*.wav", "link.wav"]
)
@pytest.mark.usefixtures("music")
def test_a_file_by_two_names_is_separated_once(other: str) -> None:
    """However a file is spelled a second time, it keeps its first name and is separated once."""
    Path("link.wav").symlink_to("music/song.wav")
    assert ["music/song.wav"] == paths("music/song.wav", other)


def _check(*sources: str, output: str = "music") -> None:
    check_stems(source_files(sources, Path(output)), _STEMS, "wav")


@pytest.mark.parametrize("kind", ["file", "symlink to the source", "hard link", "source is a symlink"])
@pytest.mark.parametrize("order", [1, -1])
def test_no_stem_replaces_a_source(kind: str, order: int, music: Path) -> None:
    """A stem whose place is a source is refused, whatever kind of name it has, in any order of sources."""
    sources, stem = ["music/song.wav"], music / "song-vocals.wav"
    if kind == "file":
        stem.write_text("mine")
        sources.append("music/song-vocals.wav")
    elif kind == "symlink to the source":
        stem.symlink_to("song.wav")
    elif kind == "hard link":
        os.link(music / "song.wav", stem)
    else:
        (music / "song.wav").rename(stem)
        (music / "song.wav").symlink_to(stem)
    with pytest.raises(click.UsageError, match="would replace the source"):
        _check(*sources[::order])


def test_no_stem_replaces_a_source_through_a_linked_folder(music: Path) -> None:
    """The folder of the stems may be a link to that of the sources."""
    (music / "song-vocals.wav").write_text("mine")
    (music.parent / "out").symlink_to(music)
    with pytest.raises(click.UsageError, match="would replace the source"):
        _check("music/*.wav", output="out")


def test_no_two_stems_have_one_place(music: Path) -> None:
    """Folders of stems that are links to each other do not let a stem replace another file's."""
    one, other = (SourceFile(music / name, music / "x", "same") for name in ("song.wav", "a/first.wav"))
    with pytest.raises(click.UsageError, match="would have the same stem"):
        check_stems([one, other], _STEMS, "wav")


@pytest.mark.usefixtures("music")
def test_stems_of_an_earlier_run_are_no_sources(music: Path) -> None:
    """A second run over the same sources may replace the stems of the first."""
    (music / "song-vocals.wav").write_text("of the first run")
    _check("music/song.wav", "music/a")
    assert (music / "song-vocals.wav").exists()
