"""The graph from samples to stems gives the stems that the host's transforms give, in every mode.

ONNX Runtime's CPU provider computes it; all else is what runs beside a card.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stemline.models.catalogue import MODELS
from stemline.models.graph import build_graph
from stemline.models.loading import load_engine
from stemline.models.samples_graph import build_samples_graph
from stemline.separation.extension import Extension
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.network import HOP, SEGMENT_FRAMES
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.pipeline import separate_file
from stemline.separation.separator import Separator
from tests.golden import seeded, song
from tests.golden.clip import decode16
from tests.support.cuda import Driver, ProcessorAsCard, install

pytestmark = pytest.mark.slow

#: Largest difference of a sample; full scale is 1.
TOLERANCE = 1e-5
VOCALS, ACCOMPANIMENT = "vocals", "accompaniment"


@pytest.fixture(scope="module")
def card() -> Iterator[None]:
    """A card with room for batches of two segments, which the processor stands in for."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch, ProcessorAsCard(), Driver(free=5 << 30))
        yield


@pytest.fixture(scope="module")
def on_host(weights_2stems: Path) -> OnnxEngine:
    return load_engine("2stems", device="cpu", kernels="off")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def on_device(weights_2stems: Path, card: None) -> OnnxEngine:
    loaded = load_engine("2stems", device="cuda")
    assert isinstance(loaded, OnnxEngine)
    assert loaded.transform == "device"
    return loaded


@pytest.fixture(scope="module")
def mix() -> np.ndarray:
    """A segment and a part of another one, (samples, 2)."""
    return song.mix(song.stems(13.5, seed=4))


def separated(
    engine: OnnxEngine, mix: np.ndarray, stems: tuple[str, ...] | None, extension: Extension
) -> dict[str, np.ndarray]:
    with Separator(engine, extension=extension) as separator:
        blocks = (mix[start : start + 30_000] for start in range(0, len(mix), 30_000))
        pieces = list(separator.separate(blocks, instruments=stems))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def check(
    on_device: OnnxEngine,
    on_host: OnnxEngine,
    mix: np.ndarray,
    stems: tuple[str, ...] | None = None,
    extension: Extension = Extension.AVERAGE,
) -> None:
    found, expected = (separated(engine, mix, stems, extension) for engine in (on_device, on_host))
    assert list(found) == list(expected)
    for name, stem in found.items():
        assert stem.shape == mix.shape
        assert stem.flags.c_contiguous
        assert np.abs(stem - expected[name]).max() < TOLERANCE


@pytest.mark.parametrize(
    "extension",
    [
        Extension.AVERAGE,
        *(pytest.param(each, marks=pytest.mark.thorough) for each in (Extension.UPPER, Extension.ZEROS)),
    ],
)
def test_two_stems_of_a_song(
    extension: Extension, on_device: OnnxEngine, on_host: OnnxEngine, mix: np.ndarray
) -> None:
    """With the real weights, over the seams of segments, whatever happens above 11 kHz."""
    check(on_device, on_host, mix, extension=extension)


@pytest.mark.parametrize(
    "stems",
    [
        pytest.param((VOCALS,), marks=pytest.mark.thorough),
        (ACCOMPANIMENT,),
        (ACCOMPANIMENT, VOCALS),
    ],
    ids=", ".join,
)
def test_the_stems_that_are_asked_for(
    stems: tuple[str, ...], on_device: OnnxEngine, on_host: OnnxEngine, mix: np.ndarray
) -> None:
    """One alone, or both in another order."""
    check(on_device, on_host, mix[:100_000], stems)


@pytest.mark.parametrize(
    "length",
    [
        1,
        SEGMENT_FRAMES * HOP - 4095,
        *(
            pytest.param(length, marks=pytest.mark.thorough)
            for length in (HOP, SEGMENT_FRAMES * HOP - 4096, SEGMENT_FRAMES * HOP - 1000)
        ),
    ],
)
def test_every_length(length: int, on_device: OnnxEngine, on_host: OnnxEngine, mix: np.ndarray) -> None:
    """From one sample, and around the end of a segment."""
    check(on_device, on_host, mix[:length])


def test_equal_silent_and_loud_channels(on_device: OnnxEngine, on_host: OnnxEngine, mix: np.ndarray) -> None:
    """A mono source, a silent channel, silence, and samples beyond full scale."""
    part = mix[:60_000]
    mono = np.repeat(part[:, :1], 2, axis=1)
    one_sided = part * np.array([1, 0], np.float32)
    check(on_device, on_host, np.concatenate([mono, one_sided, part * np.float32(3)]))
    check(on_device, on_host, part * 0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["4stems", "5stems"])
def test_more_stems(name: str, mix: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with other activations and masks, whose weights are made; batches of one segment."""
    install(monkeypatch, ProcessorAsCard(), Driver(free=1 << 30))
    model = MODELS[name]
    tensors = seeded.tensors(len(model.instruments))

    def graph(*, polyphase: bool) -> bytes:
        return build_graph(model, tensors, polyphase=polyphase).SerializeToString()

    def samples() -> bytes:
        return build_samples_graph(model, tensors).SerializeToString()

    make = partial(OnnxEngine, model, graph, threads=2)
    on_device, on_host = make(samples_graph=samples, device="cuda"), make(device="cpu")
    assert on_device.transform == "device"
    check(on_device, on_host, mix[:540_000])
    check(on_device, on_host, mix[:100_000], model.instruments[1:3], Extension.UPPER)


@pytest.mark.thorough
def test_a_resampled_mono_file(
    on_device: OnnxEngine, on_host: OnnxEngine, mix: np.ndarray, tmp_path: Path
) -> None:
    """Through decoder and encoder, at another rate and with one channel, files differ by rounding alone."""
    source = tmp_path / "source.wav"
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes((mix[:320_000, 0] * 32767).astype("<i2").tobytes())
    files: list[list[np.ndarray]] = []
    for engine in (on_device, on_host):
        outputs = {
            name: OutputSpec(tmp_path / f"{len(files)}-{name}.flac", "flac", samplerate=32_000)
            for name in (VOCALS, ACCOMPANIMENT)
        }
        report = separate_file(engine, source, outputs, limits=MediaLimits(60, 1 << 30))
        assert report.null_test_db is not None
        assert report.null_test_db < -80
        files.append([decode16(spec.path) for spec in outputs.values()])
    for found, expected in zip(*files, strict=True):
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1 / 32_768
