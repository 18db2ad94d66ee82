"""Options and reports of `stemline separate`, with a small network of one's own."""

from __future__ import annotations

import gc
import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from stemline.cli.main import main
from stemline.cli.separate import _is_short
from stemline.models import installation
from stemline.models.weights import WeightStore
from tests.support.networks import WAVEFORM, card, scaling

SAMPLES = 2_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a song; it is the current one."""
    sound = np.random.default_rng(1).uniform(-0.2, 0.2, (6_000, 2))
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes((sound * 32_767).astype("<i2").tobytes())
    monkeypatch.setenv("STEMLINE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def separate(place: Path, *options: str, factors: tuple[float, ...] = (0.1, 0.2, 0.3, 0.39)) -> Result:
    """Separate the song with a network whose stems are the mix times a factor each."""
    network = scaling(place / "own.onnx", (2, SAMPLES), factors)
    text = card(place / "own.toml", WAVEFORM, name="own", samples=SAMPLES)
    installation.add(WeightStore(), text, network)
    return CliRunner().invoke(main, ["separate", "song.wav", "-o", "out", "--model", "own", *options])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--refine"], "--refine"),
        (["--context", "64"], "--context"),
        (["--extension", "zeros"], "--extension"),
        (["--refine", "--context", "64", "--extension", "upper"], "--extension, --context, --refine"),
        (["--stems", "4"], "--stems or --model"),
        (["--bitrate", "0", "--codec", "mp3"], "--bitrate"),
        (["--bitrate", "1001", "--codec", "mp3"], "--bitrate"),
    ],
)
def test_options_without_an_effect_are_refused(options: list[str], named: str, place: Path) -> None:
    """What a network of one's own does not have, and bitrates that no codec has, are wrong words."""
    ended = separate(place, *options)
    assert (2, True) == (ended.exit_code, named in ended.stderr), ended.stderr
    assert not (place / "out").exists()


def test_shares_of_the_mix_are_printed(place: Path) -> None:
    """Each stem's share, and what the network's own stems leave of the mix, are printed and in the JSON."""
    ended = separate(place, "--json")
    assert ended.exit_code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["shares"]["vocals"]["energy_db"] == pytest.approx(20 * np.log10(0.39), abs=0.01)
    assert found["residual_db"] == pytest.approx(-40, abs=0.01)
    assert "the stems leave -40 dB of the mix's energy" in ended.stderr
    assert "Warning" not in ended.stderr


@pytest.mark.parametrize(
    ("factor", "warnings"),
    [
        (0.0, ["vocals is silent, and the mix is not", "accompaniment is the mix itself"]),
        (1_000.0, ["vocals peaks more than 6 dB above the mix", "accompaniment peaks more than 6 dB"]),
    ],
)
def test_stems_that_a_broken_network_makes_are_named(factor: float, warnings: list[str], place: Path) -> None:
    """A network that gives silence, or a thousand times the mix, is reported although the stems add up."""
    ended = separate(place, factors=(0.1, 0.2, 0.3, factor))
    assert ended.exit_code == 0, ended.stderr
    assert [] == [each for each in warnings if f"Warning: {each}" not in ended.stderr]


@pytest.mark.parametrize("names", [["song.wav", "out/song-vocals.wav"], ["out/song-vocals.wav", "song.wav"]])
def test_a_source_is_not_replaced(names: list[str], place: Path) -> None:
    """A recording that is a source itself stays, and nothing is separated, in any order of the sources."""
    (place / "out").mkdir()
    mine = (place / "song.wav").read_bytes()[:4_044]
    (place / "out" / "song-vocals.wav").write_bytes(mine)
    separate(place, "--help")
    ended = CliRunner().invoke(main, ["separate", *names, "-o", "out", "--model", "own"])
    assert (2, True) == (ended.exit_code, "would replace the source" in ended.stderr), ended.stderr
    assert {"song-vocals.wav": mine} == {path.name: path.read_bytes() for path in (place / "out").iterdir()}


@pytest.mark.parametrize(
    ("head", "size", "is_short"),
    [
        (b"RIFF", 2_000_000, True),
        (b"RIFF", 2_200_000, False),
        (b"ID3", 190_000, True),
        (b"ID3", 191_000, False),
        (b"", 0, True),
    ],
)
def test_short_files_are_told_by_their_size(tmp_path: Path, head: bytes, size: int, is_short: bool) -> None:
    """A wav file says how many bytes a second of it has; others are taken for 128 kbit/s."""
    file = tmp_path / "song"
    content = bytearray(size)
    content[: len(head)] = head
    if head == b"RIFF":
        content[28:32] = (176_400).to_bytes(4, "little")
    file.write_bytes(content)
    assert is_short == _is_short(file)
    assert not _is_short(tmp_path / "none")


@pytest.mark.parametrize("given", [None, "3"])
def test_numpy_starts_no_threads(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    """OpenBLAS, which is loaded later, is told to have one thread, unless the user wants more."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert CliRunner().invoke(main, ["separate", "--help"]).exit_code == 0
    assert (given or "1") == os.environ["OPENBLAS_NUM_THREADS"]


@pytest.mark.parametrize("options", [(), ("--codec", "amr", "--device", "cuda")])
def test_what_is_loaded_is_not_looked_through_for_garbage(place: Path, options: tuple[str, ...]) -> None:
    """Garbage is collected again once the modules are there, and where the network cannot be loaded."""
    gc.unfreeze()
    assert separate(place, *options).exit_code == (1 if options else 0)
    assert gc.get_freeze_count() > 1_000
    assert gc.isenabled()
    gc.unfreeze()
