"""Networks whose values are no numbers: every separation that meets one fails, and names it."""

from __future__ import annotations

import warnings
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from stemline.cli.main import main
from stemline.models import installation
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.errors import BrokenNetwork, OutputError
from stemline.separation.measure import PeakMeter
from stemline.separation.network_output import LARGEST, check_output
from stemline.separation.separator import Separator
from stemline.separation.separators import open_separator
from tests.support.engines import LoudnessMasks
from tests.support.networks import HEAD, SPECTROGRAM, WAVEFORM, card, scaling, write

SAMPLES = 2_000
BINS, FRAMES = 129, 33
SHAPE = {"n_fft": 256, "hop": 64, "bins": BINS, "frames": FRAMES}
TAKES = {"waveform": (2, SAMPLES), "complex-spectrogram": (4, BINS, FRAMES), "ratio-mask": (2, BINS, FRAMES)}
#: What a network makes of the size of each value: it is finite where that is zero, as `models add` tries.
FAULTS = {"nan": ["Neg", "Sqrt"], "inf": ["Exp"], "huge": []}
CASES = [("waveform", fault) for fault in FAULTS]
CASES += [(kind, fault) for kind in ("complex-spectrogram", "ratio-mask") for fault in ("nan", "inf")]


def broken(path: Path, kind: str, fault: str) -> Path:
    """Write a network that gives what is no sound of everything but silence."""
    takes, stems = TAKES[kind], 4 if kind == "waveform" else 2
    nodes = [helper.make_node("Abs", ["mix"], ["size"]), helper.make_node("Mul", ["size", "large"], ["0"])]
    nodes += [helper.make_node(name, [str(at)], [str(at + 1)]) for at, name in enumerate(FAULTS[fault])]
    nodes += [helper.make_node("Unsqueeze", [str(len(FAULTS[fault])), "axes"], ["one"])]
    nodes += [helper.make_node("Concat", ["one"] * stems, ["stems"], axis=1)]
    constants = [
        numpy_helper.from_array(np.array([1e15], np.float32), "large"),
        numpy_helper.from_array(np.array([1]), "axes"),
    ]
    return write(path, nodes, constants, takes, [stems, *takes], 1)


def added(folder: Path, kind: str, fault: str) -> WeightStore:
    """Return a store with a broken network."""
    store = WeightStore(folder / "models")
    name = f"{kind}-{fault}"
    stems = ["vocals", "accompaniment"]
    text = (
        card(
            folder / f"{name}.toml", WAVEFORM, name=name, samples=SAMPLES, options='normalisation = "running"'
        )
        if kind == "waveform"
        else card(folder / f"{name}.toml", SPECTROGRAM, name=name, kind=kind, stems=stems, **SHAPE)
    )
    installation.add(store, text, broken(folder / f"{name}.onnx", kind, fault))
    return store


def sound(samples: int = 5_000) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (samples, 2)).astype(np.float32)


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_a_network_that_gives_no_numbers_is_named(kind: str, fault: str, tmp_path: Path) -> None:
    """NaN, infinity and values beyond any sound end a separation with an error and no warnings."""
    store = added(tmp_path, kind, fault)
    engine = load_engine(f"{kind}-{fault}", directory=store.directory, threads=1)
    with warnings.catch_warnings(), open_separator(engine) as separator:
        warnings.simplefilter("error")
        with pytest.raises(BrokenNetwork, match=rf"network of {kind}-{fault} gives .* on cpu"):
            list(separator.separate([sound()]))


def test_a_broken_member_of_an_ensemble_is_named(tmp_path: Path) -> None:
    """The error of an ensemble names the network that is broken, and not the ensemble."""
    store = added(tmp_path, "waveform", "nan")
    text = card(tmp_path / "good.toml", WAVEFORM, name="good", samples=SAMPLES)
    installation.add(store, text, scaling(tmp_path / "good.onnx", (2, SAMPLES), (0.1, 0.2, 0.3, 0.4)))
    (tmp_path / "both.toml").write_text(
        f'name = "both"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}'
        '[[members]]\nmodel = "good"\n[[members]]\nmodel = "waveform-nan"\n'
    )
    installation.add(store, tmp_path / "both.toml", None)
    engine = load_engine("both", directory=store.directory, threads=1)
    with open_separator(engine) as separator, pytest.raises(BrokenNetwork, match="waveform-nan"):
        list(separator.separate([sound()]))


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_masks_that_are_no_numbers_are_an_error(value: float, refine: bool) -> None:
    """One value of one mask of Spleeter's networks, as a faulty GPU may give it, ends the separation."""

    class Faulty(LoudnessMasks):
        device = "cuda (some card)"

        def masks(self, magnitude: np.ndarray, *, alone: bool = False, level: int = 0) -> list[np.ndarray]:
            masks = super().masks(magnitude, alone=alone, level=level)
            masks[1][0, 5, 7] = value
            return masks

    with Separator(Faulty(), refine=refine) as separator, pytest.raises(BrokenNetwork, match="some card"):
        list(separator.separate([sound()]))


@pytest.mark.parametrize("value", [0.0, -LARGEST, LARGEST])
def test_numbers_are_no_error(value: float) -> None:
    """Values of any sound, and outputs without any, pass."""
    engine = LoudnessMasks()
    check_output(engine, [np.full((2, 3), value, np.float32), np.zeros((0, 2), np.float32)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_no_level(value: float) -> None:
    """A meter does not take a sample that is no number for silence."""
    with pytest.raises(OutputError):
        PeakMeter().feed(np.array([[0.1, value]], np.float32))


def test_the_command_fails_and_keeps_earlier_stems(tmp_path: Path) -> None:
    """`separate` prints one line that names the model, exits with 1, and leaves no new file."""
    store = added(tmp_path, "waveform", "nan")
    song, out = tmp_path / "song.wav", tmp_path / "out"
    with wave.open(str(song), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes((sound() * 32_767).astype("<i2").tobytes())
    out.mkdir()
    (out / "song-vocals.wav").write_text("earlier")
    words = ["separate", str(song), "--model", "waveform-nan", "-o", str(out), "--json"]
    ran = CliRunner().invoke(main, words, env={"STEMLINE_MODELS_DIR": str(store.directory)})
    assert (1, "") == (ran.exit_code, ran.stdout)
    assert "waveform-nan" in ran.stderr.strip().splitlines()[-1]
    assert "finite numbers" in ran.stderr
    assert "Warning" not in ran.stderr
    assert {"song-vocals.wav": "earlier"} == {path.name: path.read_text() for path in out.iterdir()}
