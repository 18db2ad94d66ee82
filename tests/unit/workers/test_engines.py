"""The engines of a worker, and the weights that it fetches."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.models import installation
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.runtime.settings import Settings
from stemline.separation.decoder import DecodingLimits
from stemline.separation.ensemble import EnsembleEngine
from stemline.separation.errors import WeightsCorrupt, WeightsMissing
from stemline.testing.processes import eventually
from stemline.workers import engines
from stemline.workers.metrics import WorkerMetrics
from tests.support.networks import HEAD, WAVEFORM, card, scaling


class Bench:
    """Engines whose weights are on a disk that is a set, and come from a source that waits for a word."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, fetch: bool, mirror: str | None = None
    ) -> None:
        self.here = {"2stems"}
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.fetched: list[str] = []
        monkeypatch.setattr(engines, "load_engine", self._load)
        monkeypatch.setattr(engines, "pull", self._pull)
        self.mirrors: set[str | None] = set()
        settings = Settings(models_fetch=fetch, models_dir=folder, models_mirror=mirror)
        self.engines = engines.Engines(settings, WorkerMetrics())

    def _load(self, model: str, **_: Any) -> Any:
        if model not in self.here:
            raise WeightsMissing
        return SimpleNamespace(device="cpu", model=model)

    def _pull(self, _: object, model: Any, *, mirror: str | None) -> None:
        self.fetched.append(model.name)
        self.mirrors.add(mirror)
        assert self.go_on.wait(60)
        if self.error is not None:
            raise self.error
        self.here.add(model.name)

    def is_loaded(self, model: str) -> bool:
        try:
            return bool(self.engines(model).device)
        except engines.WeightsPending:
            return False


def test_weights_are_fetched_once_while_other_models_run(monkeypatch, tmp_path):
    """A job whose weights are missing waits; others run meanwhile; afterwards it runs too."""
    bench = Bench(monkeypatch, tmp_path, fetch=True)
    for _ in range(3):
        with pytest.raises(engines.WeightsPending, match="waits for the weights of 4stems"):
            bench.engines("4stems")
        assert bench.is_loaded("2stems")
    bench.go_on.set()
    eventually(lambda: bench.is_loaded("4stems"))
    assert ["4stems"] == bench.fetched


def test_weights_are_fetched_from_the_mirror_of_the_settings(monkeypatch, tmp_path):
    """A mirror that a worker's settings name is asked, wherever the settings come from."""
    bench = Bench(monkeypatch, tmp_path, fetch=True, mirror="https://mirror.test")
    bench.go_on.set()
    with pytest.raises(engines.WeightsPending):
        bench.engines("4stems")
    eventually(lambda: bench.is_loaded("4stems"))
    assert {"https://mirror.test"} == bench.mirrors


def test_a_fetch_that_failed_is_tried_again_and_reported(monkeypatch, tmp_path):
    """The next job starts another try, and its reason names the error of the last one."""
    bench = Bench(monkeypatch, tmp_path, fetch=True)
    bench.error = WeightsMissing("no network")
    bench.go_on.set()
    with pytest.raises(engines.WeightsPending):
        bench.engines("4stems")

    def reason() -> str:
        with pytest.raises(engines.WeightsPending) as caught:
            bench.engines("4stems")
        return caught.value.message

    eventually(lambda: "The last try failed: no network" in reason())
    bench.error = None
    eventually(lambda: bench.is_loaded("4stems"))


def test_nothing_is_fetched_unless_the_settings_allow_it(monkeypatch, tmp_path):
    """Where weights are mounted, missing ones stay missing."""
    bench = Bench(monkeypatch, tmp_path, fetch=False)
    with pytest.raises(WeightsMissing) as caught:
        bench.engines("4stems")
    assert not isinstance(caught.value, engines.WeightsPending)
    assert [] == bench.fetched


def test_a_replaced_model_is_loaded_again(monkeypatch, tmp_path):
    """A job gets the engine of the model that it chose: the first one, the next one, never the old one."""
    bench = Bench(monkeypatch, tmp_path, fetch=False)
    there = {"2stems": "first"}
    monkeypatch.setattr(bench.engines, "_version", there.__getitem__)
    first = bench.engines("2stems", "first")
    assert first is bench.engines("2stems")
    there["2stems"] = "second"
    with pytest.raises(engines.ModelReplaced, match="2stems was replaced"):
        bench.engines("2stems", "third")
    second = bench.engines("2stems", "second")
    assert second is not first
    assert second is bench.engines("2stems")
    with pytest.raises(engines.ModelReplaced):
        bench.engines("2stems", "first")


def test_an_ensemble_shares_its_members_with_other_jobs(tmp_path: Path) -> None:
    """A network is in memory once, and only while it is one that is there."""
    store = WeightStore(tmp_path / "models")
    network = scaling(tmp_path / "own.onnx", (2, 100), (0.1, 0.2, 0.3, 0.4))
    own = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=100)
    installation.add(store, own, network)
    both = tmp_path / "both.toml"
    both.write_text(
        f'name = "both"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}\n[[members]]\nmodel = "own"\n'
    )
    installation.add(store, both, None)
    loaded = engines.Engines(Settings(models_dir=store.directory, device="cpu"), WorkerMetrics())
    ensemble = loaded("both")
    assert isinstance(ensemble, EnsembleEngine)
    assert ensemble.members[0].engine is loaded("own")
    old = weakref.ref(loaded("own"))
    installation.add(
        store, own, scaling(tmp_path / "own.onnx", (2, 100), (0.4, 0.3, 0.2, 0.1)), replace_it=True
    )
    renewed = loaded("both")
    assert isinstance(renewed, EnsembleEngine)
    assert renewed.members[0].engine is loaded("own")
    del ensemble
    gc.collect()
    assert old() is None


def heavy(folder: Path, **settings: Any) -> engines.Engines:
    """Engines of a worker that has the network `own`, of 400 MB, and keeps 100 MB free."""
    store = WeightStore(folder / "models")
    network = scaling(folder / "own.onnx", (2, 100), (0.1, 0.2, 0.3, 0.4))
    text = card(folder / "own.toml", WAVEFORM, name="own", samples=100, options="memory_mb = 400")
    installation.add(store, text, network)
    both = f'name = "both"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}memory_mb = 5\n'
    (folder / "both.toml").write_text(both + '[[members]]\nmodel = "own"\n')
    installation.add(store, folder / "both.toml", None)
    options = {"models_dir": store.directory, "memory_reserve_bytes": 100 * 10**6, "device": "cpu"}
    return engines.Engines(Settings(**options | settings), WorkerMetrics())


def test_a_network_takes_its_memory_when_a_job_runs_it(tmp_path: Path) -> None:
    """One that was only loaded, or replaced since, is going to take what its card says; members too."""
    loaded = heavy(tmp_path)
    needs = [loaded.loading_bytes(model) for model in ("own", "both", "gone")]
    assert [400 * 10**6, 405 * 10**6, 0] == needs
    loaded("both")
    assert 405 * 10**6 == loaded.loading_bytes("both")
    loaded.has_run("own")
    assert [0, 5 * 10**6] == [loaded.loading_bytes(model) for model in ("own", "both")]
    text = tmp_path / "own.toml"
    text.write_text(text.read_text().replace("400", "300"))
    installation.add(WeightStore(tmp_path / "models"), text, tmp_path / "own.onnx", replace_it=True)
    assert 300 * 10**6 == loaded.loading_bytes("own")


@pytest.mark.parametrize(
    ("settings", "model", "free", "kept"),
    [
        ({"worker_concurrency": 2}, "own", 499, False),
        ({"worker_concurrency": 2}, "own", 500, True),
        ({"worker_concurrency": 2}, "own", None, True),
        ({"worker_concurrency": 1}, "own", 1, True),
        ({"worker_concurrency": 2, "memory_reserve_bytes": 0}, "own", 1, True),
        ({"worker_concurrency": 2}, "2stems", 1, True),
    ],
)
def test_engines_are_dropped_where_another_process_has_no_room(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    model: str,
    free: int | None,
    kept: bool,
) -> None:
    """An idle process would keep the memory that a job of another one waits for."""
    loaded = heavy(tmp_path, **settings)
    monkeypatch.setattr(engines, "available_memory", lambda: free and free * 10**6)
    builtin = SimpleNamespace(device="cpu")
    monkeypatch.setattr(
        engines, "load_engine", lambda name, **how: load_engine(name, **how) if name == "own" else builtin
    )
    first = loaded(model)
    loaded.has_run(model)
    loaded.make_room()
    assert kept is (loaded(model) is first if model == "own" else bool(loaded._engines))
    if not kept:
        assert 400 * 10**6 == loaded.loading_bytes(model)


@pytest.mark.parametrize(
    ("settings", "size", "free", "kept"),
    [
        ({}, 300, 399, False),
        ({}, 300, 400, True),
        ({}, 0, 1, True),
        ({}, 300, None, True),
        ({"memory_reserve_bytes": 0}, 300, 1, True),
    ],
)
def test_engines_of_other_models_make_room_for_a_job(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    size: int,
    free: int | None,
    kept: bool,
) -> None:
    """A process whose own engines hold the memory that its next job needs would wait for itself."""
    loaded = heavy(tmp_path, **settings)
    monkeypatch.setattr(engines, "available_memory", lambda: free and free * 10**6)
    first = loaded("own")
    loaded.make_room_for(size * 10**6)
    assert kept is (loaded("own") is first)


def test_weights_that_cannot_be_loaded_are_reported(monkeypatch, tmp_path):
    """What announces the models learns that one is damaged; that one is missing it sees itself."""
    errors = [WeightsMissing(), WeightsCorrupt()]
    reported: list[int] = []

    def load(_model: str, **_: Any) -> Any:
        raise errors[0]

    monkeypatch.setattr(engines, "load_engine", load)
    settings = Settings(models_dir=tmp_path)
    loaded = engines.Engines(settings, WorkerMetrics(), None, lambda: reported.append(len(errors)))
    while errors:
        with pytest.raises(type(errors[0])):
            loaded("2stems")
        errors.pop(0)
    assert [1] == reported


def test_an_engine_is_loaded_with_the_options_of_the_settings(monkeypatch, tmp_path):
    """Name, device, folder, threads and the wait of a batch are those of the settings; 0 threads are all."""
    loaded: list[dict[str, Any]] = []

    def load(model: str, **options: Any) -> Any:
        loaded.append({"model": model, **options})
        return SimpleNamespace(device="cpu")

    monkeypatch.setattr(engines, "load_engine", load)
    chosen = {"engine": "tensorflow", "device": "cpu", "models_dir": tmp_path, "batch_wait_ms": 7}
    for threads in (3, 0):
        engines.Engines(Settings(threads=threads, **chosen), WorkerMetrics())("4stems")
    expected = {
        "model": "4stems",
        "engine": "tensorflow",
        "device": "cpu",
        "directory": tmp_path,
        "batch_wait_s": 0.007,
    }
    assert [3, None] == [options["threads"] for options in loaded]
    assert [expected, expected] == [{name: options[name] for name in expected} for options in loaded]


def test_a_decoder_has_the_limits_of_the_settings(monkeypatch):
    """Memory, processor time and the time to open a source are those of the settings."""
    made: list[Any] = []
    monkeypatch.setattr(engines, "Decoder", made.append)
    limits = {"decode_cpu_s": 31, "decode_start_cpu_s": 7, "decode_open_s": 32.0}
    engines.create_decoder(Settings(decode_memory_bytes=300 << 20, **limits))
    assert [DecodingLimits(300 << 20, 31, 7, 32.0)] == made
