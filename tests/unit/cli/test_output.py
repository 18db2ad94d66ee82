"""What commands print as a table on a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from stemline.cli import batches, callbacks, jobs, queues, store_callbacks, templates, usage
from stemline.cli.output import span, table
from stemline.cli.tables import Column
from stemline.client import Template

JOB = "j" + "0" * 32
MESSAGE = "InvalidContent: The source is not a media file that can be decoded."
URL = "https://hooks.example.com/a/rather/long/path?of=a-receiver"


def drawn(columns: tuple[Column, ...], row: list[str], width: int) -> str:
    """The table with one row as it is on a terminal."""
    console = Console(width=width, legacy_windows=False)
    with console.capture() as captured:
        console.print(table(columns, [row], console.width))
    shown = captured.get()
    assert all(len(line) <= width for line in shown.splitlines())
    return shown


def test_a_long_text_beside_an_id_is_wrapped_whole() -> None:
    """On a narrow terminal ids stay in one piece, and no letter of the texts beside them is lost."""
    source = "uploads/f8e3e6ea5c0a7e32/4e8c6b696793567c/one.mp3"
    lines = drawn((Column("Job", is_id=True), Column("Source")), [JOB, source], 60).splitlines()[1:]
    assert lines[0].startswith(f"{JOB}  ")
    assert source == "".join(line[len(JOB) :].strip() for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
@pytest.mark.parametrize(
    ("columns", "row", "matters"),
    [
        (jobs._COLUMNS, [JOB, "Failed", "", "2026-11-01 10:00:00", "1 s", "in/song.wav", MESSAGE, "mine"],
         [JOB, "Failed", "in/song.wav", MESSAGE]),
        (callbacks._COLUMNS, [JOB, "Pending", "3", "2026-11-01", "refused", "2026-11-02", URL],
         [JOB, "Pending", "3", "refused", "2026-11-02", URL]),
        (queues._COLUMNS, ["p" + "0" * 32, "night", "Active", "17", "12345"],
         ["p" + "0" * 32, "night", "Active", "17", "12345"]),
        (batches._COLUMNS, ["b" + "0" * 32, "night", "Active", "50", "90", "11", "12", "13", "14", "15", "x"],
         ["b" + "0" * 32, "night", "Active", "50", "90", "11", "12", "13", "14", "15"]),
        (templates._COLUMNS, ["t" + "0" * 32, "karaoke", "IsBackground", "Codec=mp3 Bitrate=192", "x"],
         ["t" + "0" * 32, "karaoke", "IsBackground", "Codec=mp3", "Bitrate=192"]),
        (usage._COLUMNS, ["2026-11-01", "AKID1", "17", "16", "1", "62.0 s", "9.0 s cpu", "10.1", "20.2"],
         ["2026-11-01", "AKID1", "17", "16", "62.0 s", "9.0 s cpu", "10.1", "20.2"]),
        (store_callbacks._COLUMNS, [JOB, URL, "ap-x/media-1", "9", "2026-11-01", "500"],
         [JOB, URL, "ap-x/media-1", "9", "500"]),
    ],
)  # fmt: skip
def test_what_matters_is_there_at_every_width(columns, row, matters, width) -> None:
    """A column that has no room is put below its row: nothing that one came for is left out or cut."""
    shown = drawn(columns, row, width)
    # A text that is folded beside others is whole, but not in one piece.
    assert [] == [text for text in matters if not _holds(text, shown)]


def _holds(text: str, shown: str) -> bool:
    """Whether every letter of a text is there in its order."""
    letters = iter("".join(shown.split()))
    return all(letter in letters for letter in "".join(text.split()))


def test_a_template_is_listed_with_its_model() -> None:
    """A model that a template names is seen in the list; most name none."""
    row = templates._row(Template("t1", "heavy", "MusicMode", {"Codec": "wav"}, model="htdemucs"))
    assert row[3] == "Codec=wav Model=htdemucs"
    assert templates._row(Template("t1", "usual", "MusicMode", {"Codec": "wav"}))[3] == "Codec=wav"


@pytest.mark.parametrize("width", [70, 80, 100, 120])
def test_a_long_source_takes_one_line_and_keeps_its_name(width: int) -> None:
    """A list of jobs has a line for each: what a folder of a random name precedes is seen by its end."""
    source = "uploads/f8e3e6ea5c0a7e32/4e8c6b696793567c/歌 100.mp3"
    row = [JOB, "Success", "100", "2026-11-01 10:00:00", "2 s", source, "", ""]
    _, line = drawn(jobs._COLUMNS, row, width).splitlines()
    assert line.rstrip().endswith("/歌 100.mp3")
    assert "…" in line


@pytest.mark.parametrize(
    ("seconds", "whole", "text"),
    [(None, True, "-"), (0, True, "< 1 s"), (0, False, "0.0 s"), (2.0, True, "2 s"), (2.0, False, "2.0 s"),
     (59.7, True, "1 min 00 s"),
     (59.97, False, "1 min 00 s"), (61, True, "1 min 01 s"), (3600, False, "1 h 00 min")],
)  # fmt: skip
def test_whole_seconds_are_not_given_to_a_tenth(seconds: float | None, whole: bool, text: str) -> None:
    """The wire's times have whole seconds: a job that began and ended in one did not take 0.0 s."""
    assert text == span(seconds, whole=whole)
