"""A separation that is over ends what its network computes, with a network that would compute for days."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stemline.models import installation
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.batching import Array, Batcher, stacked
from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import Cancelled
from stemline.separation.interruption import Interruption, tried
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import separate_file
from stemline.separation.segment_engine import SegmentEngine
from stemline.separation.separators import open_separator
from stemline.testing.processes import eventually
from tests.integration.separation.test_pipeline import write_wav
from tests.support.networks import HEAD, WAVEFORM, card, endless, scaling

SAMPLES = 2_000
FACTORS = (0.1, 0.2, 0.3, 0.4)
ENSEMBLE = f"""\
name = "both"
kind = "ensemble"
stems = ["vocals"]
{HEAD}
[[members]]
model = "quick"

[[members]]
model = "endless"
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """Return a network that computes for days, one that does not, and the average of both."""
    folder = tmp_path_factory.mktemp("networks")
    store = WeightStore(folder / "models")
    for name, make in (("endless", endless), ("quick", scaling)):
        text = card(folder / f"{name}.toml", WAVEFORM, name=name, samples=SAMPLES)
        installation.add(store, text, make(folder / f"{name}.onnx", (2, SAMPLES), FACTORS))
    (folder / "both.toml").write_text(ENSEMBLE)
    installation.add(store, folder / "both.toml", None)
    return store


@pytest.fixture(params=["endless", "both"])
def engine(store: WeightStore, request: pytest.FixtureRequest) -> LoadedEngine:
    return load_engine(request.param, directory=store.directory, threads=1)


def sound(samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((samples, 2), dtype=np.float32) * np.float32(0.2)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set when a segment is given to a network."""
    begun = threading.Event()
    stems = SegmentEngine.stems

    def noticed(self: SegmentEngine, mix: np.ndarray, **options: object) -> np.ndarray:
        if self.network.name == "endless" and mix.any():
            begun.set()
        return stems(self, mix, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentEngine, "stems", noticed)
    return begun


def test_a_cancel_ends_a_segment(engine: LoadedEngine, runs: threading.Event, tmp_path: Path) -> None:
    """A cancel while a segment is computed ends the separation, leaves no file, and the engine works on."""
    source = write_wav(tmp_path / "source.wav", sound(5_000))
    outputs = {"vocals": OutputSpec(tmp_path / "vocals.wav", "wav")}
    with pytest.raises(Cancelled):
        separate_file(engine, source, outputs, limits=MediaLimits(60, 1 << 20), cancelled=runs.is_set)
    assert runs.is_set()
    assert [path.name for path in tmp_path.iterdir()] == ["source.wav"]
    silence = np.zeros((5_000, 2), np.float32)
    with open_separator(engine) as separator:
        pieces = list(separator.separate(iter([silence])))
    assert sum(len(piece["vocals"]) for piece in pieces) == 5_000


def test_an_error_ends_a_segment(store: WeightStore, runs: threading.Event) -> None:
    """What fails while a segment is computed does not wait for it: a source, or a signal's handler."""
    engine = load_engine("endless", directory=store.directory, threads=1)

    def source() -> Iterator[np.ndarray]:
        yield sound(3_400)
        assert runs.wait(60)
        raise KeyboardInterrupt

    with open_separator(engine) as separator, pytest.raises(KeyboardInterrupt):
        list(separator.separate(source()))


def test_others_go_on(store: WeightStore) -> None:
    """The end of one separation ends no run of another on the same engine."""
    engine = load_engine("quick", directory=store.directory, threads=1)
    assert isinstance(engine, SegmentEngine)
    over, other = Interruption(), Interruption()
    over.set()
    segment = sound(SAMPLES).T.copy()
    with pytest.raises(Cancelled):
        engine.stems(segment, interruption=over)
    assert np.allclose(engine.stems(segment, interruption=other)[3], 0.4 * segment)


def test_a_network_is_tried_out_for_a_limited_time(store: WeightStore) -> None:
    """`models add` and `models cost` do not wait for ever for a network that never ends."""
    engine = load_engine("endless", directory=store.directory, threads=1)
    assert isinstance(engine, SegmentEngine)
    segment = sound(SAMPLES).T.copy()
    with pytest.raises(Cancelled, match="longer"):
        tried(lambda interruption: engine.stems(segment, interruption=interruption), 0.1)
    silence = tried(lambda interruption: engine.stems(0 * segment, interruption=interruption))
    assert not silence.any()


class Device:
    """A device that doubles a batch when it is released, or ends when the batch is interrupted."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[int] = []

    def __call__(self, batch: np.ndarray, interruption: Interruption | None = None) -> list[np.ndarray]:
        self.batches.append(len(batch))
        with (interruption or Interruption()).ends(self.go.set):
            assert self.go.wait(60)
        if interruption is not None and interruption.is_set:
            raise Cancelled
        return [batch * 2]


@pytest.fixture
def submit() -> Iterator[Callable[..., object]]:
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def test_a_batch_ends_when_nobody_wants_it(submit) -> None:
    """On a GPU, a batch of which all segments were interrupted ends, and the next one runs."""
    device, interruptions = Device(), [Interruption(), Interruption()]
    batcher: Batcher[Array, list[Array]] = Batcher(stacked(device), 2, wait_s=60)
    ones = np.ones((1, 4), np.float32)
    futures = [submit(batcher, ones, interruption=each) for each in interruptions]
    eventually(lambda: device.batches == [2], 60, "the batch runs")
    interruptions[0].set()
    assert not device.go.is_set()  # the other one wants its result
    interruptions[1].set()
    for future in futures:
        with pytest.raises(Cancelled):
            future.result(60)
    assert batcher.size == 2


def test_a_segment_that_waits_is_taken_back(submit) -> None:
    """A segment that waits for the device is taken back at once; the one that runs is not disturbed."""
    device, over = Device(), Interruption()
    batcher: Batcher[Array, list[Array]] = Batcher(stacked(device), 1)
    ones = np.ones((1, 4), np.float32)
    runs = submit(batcher, ones, interruption=Interruption())
    eventually(lambda: device.batches == [1], 60, "the first segment runs")
    waits = submit(batcher, ones, interruption=over)
    eventually(lambda: len(batcher._waiting) == 1, 60, "the second segment waits")
    over.set()
    with pytest.raises(Cancelled):
        waits.result(60)
    assert not device.go.is_set()
    device.go.set()
    assert np.array_equal(runs.result(60)[0], 2 * ones[0:1])
    assert device.batches == [1]
