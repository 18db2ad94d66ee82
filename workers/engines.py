"""The engines of a worker process, each loaded once, and its decoder."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from threading import Lock, Thread

import structlog

from stemline.models.catalogue import BUILT_IN, model_named
from stemline.models.download import pull
from stemline.models.library import card_named, fingerprint
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.runtime.settings import Settings
from stemline.separation.decoder import Decoder, DecodingLimits
from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import SeparationError, WeightsCorrupt, WeightsError, WeightsMissing
from stemline.workers.available_memory import available_memory
from stemline.workers.device_in_use import DeviceInUse
from stemline.workers.freed_memory import return_freed_memory
from stemline.workers.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class WeightsPending(WeightsMissing):
    """The worker is fetching the weights of the model."""


class ModelReplaced(WeightsMissing):
    """Another model of the name was installed since the job chose it."""


class Engines:
    """One engine for each model; created after the pool has forked.

    A model that was replaced is loaded again; jobs that run keep the engine that they have. An ensemble
    shares the engines of its members with the jobs that name these. Missing weights are fetched in the
    background if the settings allow it; other jobs go on meanwhile.

    Args:
        settings: Settings of the worker.
        metrics: Metrics that count the loads.
        device_in_use: Called with the device on which the engines run.
        damaged: Called when weights are not what they should be.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: WorkerMetrics,
        device_in_use: DeviceInUse | None = None,
        damaged: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = settings.engine
        self._reserve = settings.workers.memory_reserve_bytes
        self._songs = settings.workers.slots(settings.engine.device)
        self._metrics = metrics
        self._device_in_use = device_in_use
        self._damaged = damaged
        self._lock = Lock()
        self._engines: dict[str, tuple[str, LoadedEngine]] = {}
        """With what tells each model from another of its name."""
        self._have_run: set[tuple[str, str]] = set()
        """Models, and what tells them from others, whose engines have taken their memory."""
        self._fetches: dict[str, Thread] = {}
        self._failures: dict[str, str] = {}

    def __call__(self, model: str, version: str | None = None) -> LoadedEngine:
        """Return the engine of a model, which the first call loads.

        Args:
            model: Its name.
            version: What tells it from another of the name; by default that of the one that is there.

        Raises:
            WeightsPending: The weights are being fetched.
            ModelReplaced: There is another model of the name.
            SeparationError: The weights or the device are missing; the next call tries again.
        """
        with self._lock:
            return self._get(model, version)

    def loading_bytes(self, model: str) -> int:
        """Return what a job takes for its model, bytes; 0 if a job has run it, or its card does not say."""
        try:
            if (model, self._version(model)) in self._have_run:
                return 0
            card = card_named(model, WeightStore(self._options.models_dir))
        except SeparationError:
            return 0  # said when it is loaded
        members = {member.model for member in card.members}
        return round((card.memory_mb or 0) * 1e6) + sum(map(self.loading_bytes, members))

    def has_run(self, model: str) -> None:
        """Note that a job has run the engine of a model, which keeps the memory that it took."""
        with self._lock:
            if model in self._engines:
                self._have_run.add((model, self._engines[model][0]))

    def make_room(self) -> None:
        """Drop the engines where another process of the pool has no room for its own; no job may be running.

        Spleeter's networks alone are always kept: they are small, and so are the jobs.
        """
        if self._songs == 1 or self._options.device == "cuda" or not self._reserve:
            return  # no other process, or no reserve
        with self._lock:
            self._drop_unless_free(max(map(self._heavy_bytes, self._engines), default=0))

    def make_room_for(self, size: int) -> None:
        """Drop the engines of other models where a job is going to take more memory than is free, bytes."""
        if self._reserve and self._options.device != "cuda":
            with self._lock:
                self._drop_unless_free(size)

    def _drop_unless_free(self, size: int) -> None:
        free = available_memory()
        if size and self._engines and free is not None and free < size + self._reserve:
            log.info("engines.dropped", models=sorted(self._engines))
            self._engines.clear()
            self._have_run.clear()
            gc.collect()
            return_freed_memory()

    def _heavy_bytes(self, model: str) -> int:
        """Return what the card of a model that was added says, bytes."""
        if model in BUILT_IN:
            return 0
        try:
            card = card_named(model, WeightStore(self._options.models_dir))
        except SeparationError:
            return 0
        return round((card.memory_mb or 0) * 1e6)

    def _get(self, model: str, version: str | None = None) -> LoadedEngine:
        wanted = self._version(model) if version is None else version
        loaded, engine = self._engines.get(model, (None, None))
        if engine is None or loaded != wanted:
            self._drop_stale()
            engine = self._load(model)
            # Compared afterwards: what was read while it was loaded is not known.
            if wanted != self._version(model):
                raise ModelReplaced(f"The model {model} was replaced meanwhile.")
            self._engines[model] = wanted, engine
        return engine

    def _drop_stale(self) -> None:
        """Let go of the engines of models that were replaced or removed, before another takes memory."""
        for model, (version, _) in list(self._engines.items()):
            try:
                is_stale = version != self._version(model)
            except SeparationError:
                is_stale = True
            if is_stale:
                del self._engines[model]
                self._have_run.discard((model, version))
                gc.collect()  # runners on a GPU are parts of cycles

    def _version(self, model: str) -> str:
        store = WeightStore(self._options.models_dir)
        return fingerprint(card_named(model, store), store)

    def _load(self, model: str) -> LoadedEngine:
        options = self._options
        started = time.monotonic()
        if (fetch := self._fetches.get(model)) is not None and fetch.is_alive():
            raise self._pending(model)
        try:
            engine = load_engine(
                model,
                engine=options.name,
                device=options.device,
                directory=options.models_dir,
                threads=options.threads or None,
                songs=self._songs,
                batch_wait_s=options.batch_wait_ms / 1000,
                transform=options.gpu_transform,
                kernels=options.kernels,
                member=self._get,
            )
        except WeightsError as error:
            if isinstance(error, WeightsCorrupt):
                self._damaged()
            if not options.models_fetch or model not in BUILT_IN:
                raise
            self._fetches[model] = fetch = Thread(target=self._fetch, args=(model,), daemon=True)
            fetch.start()
            raise self._pending(model) from None
        self._metrics.model_loaded_in(time.monotonic() - started, model, options.name, engine.device)
        if self._device_in_use is not None:
            self._device_in_use.set(engine.device)
        return engine

    def _pending(self, model: str) -> WeightsPending:
        failure = self._failures.get(model)
        failed = f" The last try failed: {failure}" if failure else ""
        return WeightsPending(
            f"The job waits for the weights of {model}, which the worker is fetching.{failed}"
        )

    def _fetch(self, model: str) -> None:
        """Fetch the weights of a model; another process that fetches the same ones is waited for."""
        log.info("weights.fetch_started", model=model)
        try:
            store = WeightStore(self._options.models_dir)
            pull(store, model_named(model), mirror=self._options.models_mirror)
        except (SeparationError, OSError) as error:
            self._failures[model] = str(error)
            log.warning("weights.not_fetched", model=model, reason=str(error))
        else:
            log.info("weights.fetched", model=model)


def create_decoder(settings: Settings) -> Decoder:
    """Return what decodes sources in child processes, with the limits of the settings."""
    source = settings.source
    return Decoder(
        DecodingLimits(
            memory_bytes=source.decode_memory_bytes,
            cpu_s=source.decode_cpu_s,
            start_cpu_s=source.decode_start_cpu_s,
            open_s=source.decode_open_s,
        )
    )
