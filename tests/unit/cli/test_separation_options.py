"""The options about stems, of every command that has them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stemline.cli.main import main

COMMANDS = (
    ("submit", "song.wav"),
    ("submit", "song.wav", "--dry-run"),
    ("submit", "album/", "-o", "out"),
    ("batches", "create", "in/a.wav"),
    ("templates", "create", "mine"),
)
CASES = (
    ("--stems 4 --codec mp3 --bitrate 192", "--bitrate", "4 stems"),
    ("--stems 4 --samplerate 22050", "--samplerate", "4 stems"),
    ("--stems 4 --channels 1", "--channels", "4 stems"),
    ("--bitrate 192", "--bitrate", "wav"),
    ("--codec flac --bitrate 192", "--bitrate", "flac"),
    ("--stems 4 --only voice", "--stems", "--only"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("words", "option", "beside"), CASES)
def test_an_option_without_effect_is_refused(
    command: tuple[str, ...], words: str, option: str, beside: str
) -> None:
    """Before a service is asked, one line names the option and what it has no effect beside."""
    ended = CliRunner().invoke(main, [*command, *words.split()])
    assert 2 == ended.exit_code, ended.output
    assert ended.stderr.startswith(f"Error: {option} has no effect with {beside}"), ended.stderr


@pytest.mark.parametrize("command", [each for each in COMMANDS if each[0] != "templates"], ids=" ".join)
@pytest.mark.parametrize(
    "words",
    [
        "--stems 2",
        "--model mine",
        "--only voice",
        "--codec wav",
        "--bitrate 192",
        "--samplerate 44100",
        "--channels 2",
        "--bit-depth 16",
    ],
)
def test_an_option_beside_a_template_is_refused(command: tuple[str, ...], words: str) -> None:
    """A template says all about the stems: also an option that is given with its default has no effect."""
    ended = CliRunner().invoke(main, [*command, "--template", "karaoke", *words.split()])
    assert 2 == ended.exit_code, ended.output
    assert f"Error: {words.split(maxsplit=1)[0]} has no effect with --template" in ended.stderr
