"""Files that replace others only when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemline.separation.media.replacement import Replacement


def test_what_is_there_stays_until_the_new_file_is_published(tmp_path: Path) -> None:
    """While the new file is written, the old one has its place and its content."""
    place = tmp_path / "song-vocals.wav"
    place.write_text("old")
    new = Replacement(place)
    new.file.write(b"new")
    new.file.close()
    assert place.read_text() == "old"
    new.publish()
    assert place.read_text() == "new"
    assert [place] == list(tmp_path.iterdir())


def test_discarded_it_leaves_what_is_there(tmp_path: Path) -> None:
    """A file that is given up, also twice, changes nothing."""
    place = tmp_path / "song-vocals.wav"
    place.write_text("old")
    new = Replacement(place)
    new.discard()
    new.discard()
    assert place.read_text() == "old"
    assert [place] == list(tmp_path.iterdir())


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_a_link_leads_to_stays(link, tmp_path: Path) -> None:
    """A symbolic or hard link in the place is replaced, and the file that it leads to is not changed."""
    recording, place = tmp_path / "recording.wav", tmp_path / "song-vocals.wav"
    recording.write_text("mine")
    link(recording, place)
    new = Replacement(place)
    new.file.write(b"new")
    new.file.close()
    new.publish()
    assert recording.read_text() == "mine"
    assert (place.read_text(), place.is_symlink()) == ("new", False)


def test_the_file_has_the_mode_of_new_files(tmp_path: Path) -> None:
    """The published file is as readable as any file that the user makes."""
    (tmp_path / "other").write_text("")
    new = Replacement(tmp_path / "stem")
    new.file.close()
    new.publish()
    assert (tmp_path / "other").stat().st_mode == (tmp_path / "stem").stat().st_mode


@pytest.mark.parametrize("name", ["folder", "x" * 300, "missing/stem", "file/below"])
def test_an_impossible_place_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """A folder, too long a name and a missing folder are errors that name the place, before any work."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"directory|too long") as refused:
        Replacement(tmp_path / name)
    assert str(tmp_path / name) == refused.value.filename


def test_a_file_that_is_protected_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be written is refused, although its folder would let it be replaced."""
    place = tmp_path / "stem"
    place.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        Replacement(place)
    assert place.read_text() == "old"
