"""Names of the files that stems are put into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemline.cli.output import print_table, printable
from stemline.cli.tables import Column
from stemline.client.errors import TransferFailed
from stemline.client.job import Job, Stem
from stemline.client.names import check_free, check_pattern, file_names, fill, safe_name
from stemline.jobs.errors import RequestRefused
from stemline.wire.uploads import UPLOAD_REQUEST

NAMES = [
    "歌　名.mp3",
    "a\xa0b.mp3",
    "10\u202fPM.mp3",
    "می‌خواهم.mp3",
    "👩‍👩‍👧.mp3",
    "two  spaces.mp3",
    "שיר é.mp3",
]
JOB = Job(
    id="j1",
    state="Success",
    source="in/My song.mp3",
    stems=(Stem("voice", "o/voice.wav", "b", "r", ""), Stem("background", "o/bg.mp3", "b", "r", "")),
)


def test_names_follow_the_source_and_the_stem(tmp_path):
    """By default a file is named by the source and the stem, with the extension of the stem's key."""
    assert file_names(JOB, tmp_path) == {
        "voice": tmp_path / "My song-voice.wav",
        "background": tmp_path / "My song-background.mp3",
    }


def test_every_field_of_a_pattern_is_filled(tmp_path):
    """{dir}, {name}, {jobid}, {stem} and {ext} are replaced; given values outrank those of the source."""
    names = file_names(JOB, tmp_path, "{dir}/{jobid}/{name} ({stem}).{ext}", {"dir": "a/b", "name": "x"})
    assert tmp_path / "a/b/j1/x (voice).wav" == names["voice"]


@pytest.mark.parametrize("pattern", ["{nam}.{ext}", "{0}", "{", "x/", " ", "{name}-{stem!z}{"])
def test_patterns_that_name_no_file_are_refused(pattern):
    """An unknown field, an open brace and a pattern without a file's name are errors."""
    with pytest.raises(ValueError, match=r"pattern|unknown"):
        check_pattern(pattern)


@given(st.text(max_size=400), st.sampled_from(["..", "/", "../..", "a/../../b", "\\..", "."]))
def test_no_name_leads_out_of_its_folder(name, folder):
    """Whatever a source is called, its stems stay below the folder of the output, in a name that fits."""
    filled = fill(
        "{dir}/{name}-{stem}.{ext}", {"dir": folder, "name": safe_name(name), "stem": "s", "ext": "e"}
    )
    assert not filled.is_absolute()
    assert ".." not in filled.parts
    assert all(len(part.encode()) <= 255 for part in filled.parts)


def test_names_that_are_not_utf8_are_replaced():
    """A name whose bytes are not UTF-8 becomes one that JSON and a store can hold."""
    safe_name(b"caf\xe9.mp3".decode("utf-8", "surrogateescape")).encode()
    assert "a_b" == safe_name("a\nb")
    assert "_" == safe_name("..")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_same_in_its_key_its_stems_and_every_list(name, capsys):
    """Wide and fixed spaces, joiners of Persian words and emoji, and several spaces are parts of a name."""
    assert name == safe_name(name)
    assert name == UPLOAD_REQUEST.read({"Name": name, "Size": "1"})["name"]
    print_table((Column("Source"),), [[name]])
    assert name == capsys.readouterr().out.rstrip("\n")
    assert name == printable(name)


@pytest.mark.parametrize(
    "letter", ["\n", "\t", "\x1b", "\x9b", "\u2028", "\u202e", "\u2066", "\ue000", "\ufeff"]
)
def test_what_moves_other_letters_is_in_no_name(letter):
    """Controls, ends of lines and signs that change the direction of what follows are replaced or refused."""
    name = f"a{letter}b"
    assert ("a_b", "a?b") == (safe_name(name), printable(name))
    with pytest.raises(RequestRefused, match="Name must be"):
        UPLOAD_REQUEST.read({"Name": name, "Size": "1"})


def test_two_stems_never_get_the_same_file(tmp_path):
    """A pattern that gives two stems one name is refused, before one replaces the other."""
    with pytest.raises(ValueError, match="two stems the same file"):
        file_names(JOB, tmp_path, "{name}.wav")


@pytest.mark.parametrize("pattern", ["{name:>9}-{stem}.{ext}", "{name!r}-{stem}.{ext}"])
def test_a_field_is_its_name_alone(pattern):
    """Formats and conversions are refused, because they would not be filled in."""
    with pytest.raises(ValueError, match="nothing else"):
        check_pattern(pattern)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing"])
def test_whatever_has_the_name_is_not_replaced(tmp_path, kind):
    """A file, a folder and a link, also one that leads nowhere, keep stems from being written there."""
    taken, free = tmp_path / "a.wav", tmp_path / "b.wav"
    check_free([taken, free])
    match kind:
        case "file":
            taken.touch()
        case "folder":
            taken.mkdir()
        case "link":
            taken.symlink_to(tmp_path)
        case _:
            taken.symlink_to(tmp_path / "none")
    with pytest.raises(TransferFailed, match=r"a\.wav is there already"):
        check_free([free, taken])
