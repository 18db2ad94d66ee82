"""What every engine promises. The TensorFlow one is tested where TensorFlow is: `make test-tensorflow`."""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemline.models.loading import load_engine
from stemline.separation.engine import Engine
from stemline.separation.errors import DeviceError, OptionError, WeightsCorrupt, WeightsMissing
from stemline.separation.extension import Extension
from stemline.separation.native.library import find
from stemline.separation.native_engine import NativeEngine
from stemline.separation.separator import Separator
from tests.golden import song
from tests.golden.excerpts import excerpt
from tests.golden.fixtures import golden, weights_2stems
from tests.support.engines import mask_engine

__all__ = ["golden", "weights_2stems"]  # imported so that the module also runs without its conftest


@pytest.fixture(scope="module", params=["native", "onnxruntime", "tensorflow"])
def options(request) -> dict[str, Any]:
    """What an engine is asked for by."""
    package = "fastcrc" if request.param == "native" else request.param  # one that it needs
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed in this environment")
    if request.param != "native":
        return {"engine": request.param, "kernels": "off"}
    if find().library is None:
        # Not `missing` of the conftest, which this module may run without.
        (pytest.fail if os.environ.get("CI") else pytest.skip)("what the build compiles is missing")
    return {"kernels": "auto"}


@pytest.fixture(scope="module")
def engine(options: dict[str, Any], weights_2stems: Path) -> Engine:
    return mask_engine("2stems", **options)


@pytest.fixture(scope="module")
def magnitude() -> np.ndarray:
    return np.abs(np.random.default_rng(8).standard_normal((2, 512, 1024), dtype=np.float32)) * 5


def test_an_engine_says_what_it_is(engine: Engine, options: dict[str, Any]) -> None:
    """An engine reports its network, its device and the number of segments in flight."""
    assert isinstance(engine, Engine)
    assert (options["kernels"] == "auto") == isinstance(engine, NativeEngine)
    assert engine.network.name == "2stems"
    assert engine.device.startswith(("cpu", "cuda"))
    assert engine.in_flight >= 1


def test_there_is_a_share_for_every_instrument(engine: Engine, magnitude: np.ndarray) -> None:
    """Masks are shaped like the input, lie between 0 and 1, and add up to one."""
    masks = engine.masks(magnitude)
    assert [magnitude.shape] * 2 == [mask.shape for mask in masks]
    assert all(mask.dtype == np.float32 for mask in masks)
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks)
    assert np.abs(sum(masks) - 1).max() < 1e-5


def test_silence_is_shared_evenly(engine: Engine) -> None:
    """Where nothing sounds no instrument is preferred, and nothing is divided by zero."""
    masks = engine.masks(np.zeros((2, 512, 1024), np.float32))
    assert len(masks) == 2
    assert all(np.abs(mask - 0.5).max() < 1e-6 for mask in masks)


def test_threads_share_an_engine(engine: Engine, magnitude: np.ndarray) -> None:
    """Several threads at once get what one gets alone."""
    inputs = [(magnitude * scale).astype(np.float32) for scale in (0.1, 1.0, 3.0, 0.5)]
    alone = [engine.masks(value, alone=True)[0] for value in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = [masks[0] for masks in pool.map(engine.masks, inputs)]
    for expected, actual in zip(alone, together, strict=True):
        assert np.abs(expected - actual).max() < 1e-5


def test_an_engine_separates_as_spleeter_does(engine: Engine, golden) -> None:
    """With either extension the stems are Spleeter's own to 1e-4."""
    mix = song.mix(song.stems(30.0))
    expected = golden("2stems_song.npz")
    for extension in (Extension.AVERAGE, Extension.ZEROS):  # the two that Spleeter has
        with Separator(engine, extension=extension) as separator:
            pieces = list(separator.separate([mix]))
        assert ("vocals", "accompaniment") == engine.network.instruments
        for name in engine.network.instruments:
            stem = np.concatenate([piece[name] for piece in pieces])
            assert np.abs(expected[f"{extension}/{name}"] - excerpt(stem)).max() < 1e-4


def test_missing_weights_are_an_error(options: dict[str, Any], tmp_path: Path) -> None:
    """With an empty model directory the error names the command that fills it."""
    with pytest.raises(WeightsMissing, match="stemline models pull"):
        load_engine("2stems", **options, directory=tmp_path)


def test_weights_changed_on_disk_are_an_error(
    options: dict[str, Any], weights_2stems: Path, tmp_path: Path
) -> None:
    """One changed byte, and the engine is not loaded, not even from a cached graph."""
    folder = tmp_path / "2stems"
    folder.mkdir()
    for file in weights_2stems.iterdir():
        (folder / file.name).symlink_to(file)
    data = folder / "model.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[12_345] ^= 1
    data.unlink()
    data.write_bytes(content)
    with pytest.raises(WeightsCorrupt):
        load_engine("2stems", **options, directory=tmp_path)


def test_a_device_that_is_not_there_is_an_error(engine: Engine, options: dict[str, Any]) -> None:
    """Where CUDA was asked for and is not there, loading fails instead of computing on the processor."""
    if engine.device != "cpu":
        pytest.skip("this machine has CUDA")
    with pytest.raises(DeviceError, match="cuda"):
        load_engine("2stems", **options, device="cuda")
    assert load_engine("2stems", **options, device="cpu").device == "cpu"


@pytest.mark.parametrize(
    "wrong", [{"model_name": "3stems"}, {"engine": "torch"}, {"device": "tpu"}], ids=lambda wrong: str(*wrong)
)
def test_what_does_not_exist_is_refused(wrong: dict, weights_2stems: Path) -> None:
    """Unknown models, engines and devices are an OptionError."""
    with pytest.raises(OptionError):
        load_engine(**{"model_name": "2stems"} | wrong)
