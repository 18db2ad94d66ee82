"""`stemline separate` and `stemline models`, as a user calls them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from tests.golden import song
from tests.golden.fixtures import weights_2stems
from tests.support.measured import MEASURED

pytestmark = pytest.mark.slow

__all__ = ["weights_2stems"]


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "stemline", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | MEASURED, capture_output=True, text=True, check=False)


def stemline(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which takes less time."""
    words = [*map(str, arguments)]
    ran = CliRunner().invoke(main, words, env=env)
    if ran.exception and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return subprocess.CompletedProcess(words, ran.exit_code, ran.stdout, ran.stderr)


def write_song(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes((song.mix(song.stems(3.0)) * 32768.0).astype("<i2").tobytes())
    return path


def test_separate_writes_the_stems(weights_2stems: Path, tmp_path: Path) -> None:
    """One command writes the stems, prints only their paths to stdout, and the speed to stderr."""
    source = write_song(tmp_path / "my song.wav")
    done = process("separate", source, "-o", tmp_path / "out", "--codec", "flac")
    assert done.returncode == 0, done.stderr
    expected = [str(tmp_path / "out" / f"my song-{name}.flac") for name in ("vocals", "accompaniment")]
    assert expected == done.stdout.splitlines()
    assert sorted(expected) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert "real time) on cpu" in done.stderr


def test_separate_goes_through_folders_and_patterns(weights_2stems: Path, tmp_path: Path) -> None:
    """Each media file has its stems at its place; one that cannot be separated keeps no other back."""
    music, out = tmp_path / "music", tmp_path / "music" / "out"
    (music / "deep").mkdir(parents=True)
    write_song(music / "a.wav")
    (music / "deep" / "b.wav").write_bytes((music / "a.wav").read_bytes())
    (music / "bad.mp3").write_text("no music")
    (music / "cover.jpg").write_text("no music")
    (music / "aa.flac").write_bytes(b"")
    done = stemline("separate", music, "-o", out, "--json")
    assert 1 == done.returncode
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [str(music / "a.wav"), str(music / "deep" / "b.wav")] == [each["file"] for each in lines]
    assert str(out / "deep" / "b-vocals.wav") == lines[1]["stems"]["vocals"]
    assert f"{music / 'bad.mp3'}: " in done.stderr
    assert f"{music / 'aa.flac'}: The source is an empty file." in done.stderr
    assert "2 of 4 files separated" in done.stderr
    assert set(lines[1]["levels"]) == set(lines[1]["bitrate_kbps"]) == {"vocals", "accompaniment"}
    assert -200 < lines[1]["levels"]["vocals"]["loudness_lufs"] < 0
    assert -200 <= lines[1]["null_test_db"] < -80
    done = stemline("separate", f"{music}/d*/*.wav", "-o", tmp_path / "two")
    assert [
        str(tmp_path / "two" / f"b-{name}.wav") for name in ("vocals", "accompaniment")
    ] == done.stdout.splitlines()
    assert "no file none" in stemline("separate", "none", "-o", out).stderr
    assert "no file nnn" in stemline("separate", "n" * 300 + ".wav", "-o", out).stderr
    (music / "a.flac").write_bytes((music / "a.wav").read_bytes())
    done = stemline("separate", music / "a.wav", music / "a.flac", "-o", tmp_path / "three")
    assert {"a.wav-vocals.wav", "a.flac-vocals.wav"} == {
        path.name for path in (tmp_path / "three").glob("*-vocals.wav")
    }


def test_separate_prints_levels(weights_2stems: Path, tmp_path: Path) -> None:
    """A table on stderr holds peak, clipped samples and loudness of each stem, and the null test."""
    source = write_song(tmp_path / "song.wav")
    done = stemline("separate", source, "-o", tmp_path / "out", "--bit-depth", "32")
    assert done.returncode == 0, done.stderr
    for stem in ("vocals", "accompaniment"):
        assert re.search(rf"{stem} +-?[0-9]+\.[0-9]{{2}} +0 +-[0-9]+\.[0-9]", done.stderr)
    null = re.search(r"sum of the stems less the mix, as written: (-[0-9]+) dBFS", done.stderr)
    assert null is not None
    assert int(null[1]) < -120


def test_separate_refines(weights_2stems: Path, tmp_path: Path) -> None:
    """With the Wiener filter and the share of the upper band the stems are others, and add up to the mix."""
    source = write_song(tmp_path / "song.wav")
    written = []
    for options in ((), ("--refine", "--extension", "upper")):
        done = stemline("separate", source, "-o", tmp_path / "out", "--bit-depth", "32", *options)
        assert done.returncode == 0, done.stderr
        null = re.search(r"sum of the stems less the mix, as written: (-[0-9]+) dBFS", done.stderr)
        assert null is not None
        assert int(null[1]) < -120
        written.append((tmp_path / "out" / "song-vocals.wav").read_bytes())
    assert written[0] != written[1]


def test_separate_reports_errors(weights_2stems: Path, tmp_path: Path) -> None:
    """For a text file it prints why in one line with a hint, exits with an error and writes nothing."""
    text = tmp_path / "song.mp3"
    text.write_text("not music")
    done = process("separate", text, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert ["Error", "Hint"] == [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert "(UndecodableMedia)" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("place", ["x" * 300, "file/below", "out/" + "y" * 300])
def test_separate_names_a_folder_that_cannot_be_made(
    place: str, weights_2stems: Path, tmp_path: Path
) -> None:
    """A name that is too long, or below a file, gives one line with the reason."""
    source = write_song(tmp_path / "song.wav")
    (tmp_path / "file").write_text("")
    done = stemline("separate", source, "-o", tmp_path / place)
    assert done.returncode == 1
    assert re.search("File name too long|Not a directory", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1


def test_separate_names_a_stem_with_too_long_a_name(weights_2stems: Path, tmp_path: Path) -> None:
    """A song whose name leaves no room for the stem's gives one line with the reason."""
    source = write_song(tmp_path / f"{'s' * 248}.wav")
    done = stemline("separate", source, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "File name too long" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("codec", "asked", "said"),
    [
        ("wav", 192, "wav has no bitrate: 192 kbit/s was not used"),
        ("mp3", 500, "320 kbit/s was used"),
        ("mp3", 192, ""),
    ],
)
def test_separate_says_which_bitrate_was_used(
    codec: str, asked: int, said: str, weights_2stems: Path, tmp_path: Path
) -> None:
    """A bitrate that the codec cannot have is not dropped without a word."""
    source = write_song(tmp_path / "song.wav")
    done = stemline("separate", source, "-o", tmp_path / "out", "--codec", codec, "--bitrate", asked)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert bool(said) == ("was used" in done.stderr or "was not used" in done.stderr)


def test_separate_without_weights_names_the_command(tmp_path: Path) -> None:
    """If the weights of a model are missing, the message names the command that fetches them."""
    source = write_song(tmp_path / "song.wav")
    done = stemline(
        "separate", source, "-o", tmp_path, "--stems", 4, env={"STEMLINE_MODELS_DIR": str(tmp_path)}
    )
    assert done.returncode == 5
    assert "stemline models pull 4stems" in done.stderr


def test_models_cross_an_air_gap(weights_2stems: Path, tmp_path: Path) -> None:
    """Bundle, pull, verify and list work together, and verify notices one changed byte."""
    bundle = tmp_path / "weights.tar"
    assert stemline("models", "bundle", "-o", bundle, "--directory", weights_2stems.parent).returncode == 0
    there = tmp_path / "there"
    pulled = stemline("models", "pull", "--from", bundle, "--directory", there)
    assert (pulled.returncode, pulled.stdout.strip()) == (0, str(there / "2stems"))
    assert stemline("models", "verify", "--directory", there).returncode == 0
    assert "2stems\there" in stemline("models", "list", "--directory", there).stdout
    data = there / "2stems" / "model.data-00000-of-00001"
    content = np.memmap(data, np.uint8, "r+")
    content[1_000_000] ^= 1
    content.flush()
    damaged = stemline("models", "verify", "--directory", there)
    assert damaged.returncode == 1
    assert "fetch it again" in damaged.stderr


def test_models_are_listed_as_json(weights_2stems: Path) -> None:
    """A program learns from `models list --json` which weights are here."""
    lines = stemline("models", "list", "--json", "--directory", weights_2stems.parent).stdout.splitlines()
    here = {each["name"]: each["here"] for each in map(json.loads, lines)}
    assert here["2stems"] is True
    assert here["4stems"] is False
