"""The recorder of terminals, on what a small program prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from tests.paths import REPOSITORY
from tools.docs import recording
from tools.docs.recording import Output

SVG = "{http://www.w3.org/2000/svg}"


def test_a_command_is_recorded_as_it_prints(tmp_path: Path) -> None:
    """Colours and overwritten lines are drawn as a terminal shows them; the program sees a terminal."""
    command = r"printf 'one\rtwo \033[31mred\033[0m\n'; stty size; test -t 1 && echo terminal"
    shown = recording.frames(list(recording.run(command, tmp_path, {})))
    text = [" ".join(map(str, etree.fromstring(f"<g>{line}</g>").itertext())) for line in shown[-1].lines]
    assert ["two red", f"{recording.ROWS} {recording.COLUMNS}", "terminal"] == text[1:4]
    assert 'fill="#e06c75"' in shown[-1].lines[1]


def test_a_command_that_fails_is_no_recording(tmp_path: Path) -> None:
    """A recording of a failure is refused."""
    with pytest.raises(RuntimeError, match="ended with 3"):
        list(recording.run("exit 3", tmp_path, {}))


def test_pauses_are_shortened() -> None:
    """A pause, or a spinner that turns alone, lasts no longer than the longest pause."""
    spinner = [Output(5 + number, f"\r{char} waiting") for number, char in enumerate("⠋⠙⠹⠸⠼")]
    shown = recording.frames([Output(0, "start"), *spinner, Output(20, "\rdone       ")])
    assert recording.LAST_FRAME_S == shown[-1].lasts_s
    assert sum(frame.lasts_s for frame in shown[:-1]) <= 2.1 * recording.LONGEST_PAUSE_S
    assert "done" in shown[-1].lines[0]


def test_the_animation_shows_every_frame_in_its_time() -> None:
    """The steps of the animation are in order, from the first screen to the last, and texts are escaped."""
    shown = recording.frames([Output(0, "<a> & "), Output(1, "b"), Output(2, "c")])
    drawing = etree.fromstring(recording.svg(shown, "a & b"))
    style = drawing.findtext(f"{SVG}style") or ""
    assert style.count("translateX") == len(shown) + 2  # one for the end, one for readers who want no motion
    assert "<a> & bc" in [text.text for text in drawing.iter(f"{SVG}text")]


def test_the_recording_of_the_readme_is_one() -> None:
    """The README shows the recording; it ends with the stems, and loads nothing."""
    assert "](docs/images/recording.svg)" in (REPOSITORY / "README.md").read_text()
    drawing = etree.parse(REPOSITORY / "docs" / "images" / "recording.svg").getroot()
    links = [use.get("href", "") for use in drawing.iter(f"{SVG}use")]
    assert links
    assert [] == [link for link in links if not link.startswith("#")]
    assert "url(" not in (drawing.findtext(f"{SVG}style") or "")
    assert any("Success" in (text.text or "") for text in drawing.iter(f"{SVG}text"))
