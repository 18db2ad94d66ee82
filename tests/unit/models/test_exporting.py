"""Exporting a checkpoint, with a stand-in for the Python that has the framework."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.models.card_file import read_card
from stemline.models.card_tables import Spectrum

ABOUT = ("--licence", "MIT", "--source", "somewhere")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.th"
    path.write_bytes(b"weights")
    return path


def python(folder: Path, *lines: str) -> Path:
    """A program in the place of Python: gets the exporter, the checkpoint, the file to write, and options."""
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def export(checkpoint: Path, folder: Path, *options: object) -> tuple[int, str]:
    arguments = ["models", "export", "demucs", checkpoint, "-o", folder, *options]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.output


def test_an_export_is_a_network_and_its_card(tmp_path: Path, checkpoint: Path) -> None:
    """The card has the stems and the segment of the checkpoint, the terms that were given, and both modes."""
    found = json.dumps({"stems": ["drums", "bass", "other", "vocals"], "samples": 343_980})
    program = python(tmp_path, 'echo "$4" > "$3"', "echo a warning", f"echo '{found}'")
    code, output = export(
        checkpoint, tmp_path / "out", "--python", program, "--name", "mine", "--trust", *ABOUT
    )
    assert (code, output.split()) == (0, [f"{tmp_path}/out/mine.onnx", f"{tmp_path}/out/mine.toml"])
    assert (tmp_path / "out/mine.onnx").read_text() == "--trust\n"
    card = read_card(tmp_path / "out/mine.toml")
    assert (card.name, card.licence, card.segment.samples) == ("mine", "MIT", 343_980)
    assert card.normalisation == "track"
    assert card.modes() == ("AudioAndBackground", "MusicMode")


def test_a_roformer_is_a_network_between_its_transforms(tmp_path: Path, checkpoint: Path) -> None:
    """The card has the transform of the configuration, segments under a Hamming window, and the voice."""
    found = json.dumps({"stems": ["vocals"], "rate": 48_000, "n_fft": 2048, "hop": 441, "frames": 801})
    config = tmp_path / "model.yaml"
    config.write_text("audio: {}")
    program = python(tmp_path, 'echo "$3" > "$4"', f"echo '{found}'")
    arguments = ["models", "export", "roformer", checkpoint, "--config", config, "-o", tmp_path / "out"]
    result = CliRunner().invoke(main, list(map(str, [*arguments, "--python", program, *ABOUT])))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/roformer.onnx").read_text() == f"{config}\n"
    card = read_card(tmp_path / "out/roformer.toml")
    assert (card.rate, card.kind) == (48_000, "complex-spectrogram")
    assert card.all_stems == ("vocals", "accompaniment")
    assert card.spectrum == Spectrum(n_fft=2048, hop=441, bins=1025, frames=801)
    assert (card.segment.window, card.segment.overlap) == ("hamming", 0.5)
    assert card.modes() == ("AudioAndBackground",)
    config.unlink()
    assert CliRunner().invoke(main, list(map(str, [*arguments, *ABOUT]))).exit_code != 0


@pytest.mark.parametrize(
    ("lines", "report"),
    [
        (("echo 'model.th is no checkpoint' >&2", "exit 1"), "model.th is no checkpoint"),
        (("echo \"ModuleNotFoundError: No module named 'torch'\" >&2", "exit 1"), "--python names another"),
    ],
)
def test_a_failed_export_is_reported_in_a_line(
    tmp_path: Path, checkpoint: Path, lines: tuple[str, ...], report: str
) -> None:
    """The reason of the exporter, and what is missing, reach the user; no card is written."""
    code, output = export(checkpoint, tmp_path / "out", "--python", python(tmp_path, *lines), *ABOUT)
    assert code != 0
    assert report in output
    assert not list((tmp_path / "out").glob("*.toml"))


def test_wrong_options_are_refused_before_anything_runs(tmp_path: Path, checkpoint: Path) -> None:
    """A missing checkpoint, a missing Python and a name that cannot be are errors."""
    program = python(tmp_path, f"touch {tmp_path}/ran")
    for options in (("--name", "A/B", *ABOUT), ("--licence", " ", "--source", "x")):
        code, output = export(checkpoint, tmp_path / "out", "--python", program, *options)
        assert code != 0
        assert "must" in output
    assert export(tmp_path / "none.th", tmp_path / "out", "--python", program, *ABOUT)[0] != 0
    assert export(checkpoint, tmp_path / "out", "--python", tmp_path / "nothing", *ABOUT)[0] != 0
    assert not (tmp_path / "ran").exists()
