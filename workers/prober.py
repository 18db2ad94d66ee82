"""Probes sources for dry runs, beside the jobs of a worker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from stemline.jobs.errors import JobFailed, SourceTooLarge, StoreUnavailable
from stemline.jobs.job import JobSpec
from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.separation.decoder import Decoder
from stemline.separation.errors import Cancelled, CardError, SeparationError, WeightsMissing
from stemline.separation.media import MediaLimits
from stemline.separation.media.codecs import expected_bytes, resolve
from stemline.separation.media.types import SourceInfo
from stemline.storage import Buckets, TransferCancelled
from stemline.workers.failures import failure_code
from stemline.workers.model_choice import choose
from stemline.workers.scratch import scratch
from stemline.workers.stages import output_spec

log = structlog.get_logger(__name__)

MAX_S: Final = 2.5
"""Longest look at one source, s: others wait for theirs."""
MAX_BYTES: Final = 256 << 20
"""A larger source is not fetched; only its size is answered."""
_WAIT_S: Final = 2.0
_PAUSE_S: Final = 1.0
"""Until the next look after the store was unavailable, s."""


class Prober:
    """Answers questions one after the other, from a thread of the worker's main process."""

    def __init__(self, settings: Settings, store: Store, buckets: Buckets, decoder: Decoder) -> None:
        self._settings = settings
        self._store = store
        self._buckets = buckets
        self._decoder = decoder
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def start(self) -> None:
        """Start answering; the first question starts the decoder."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering soon."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                question = self._store.probes.take(_WAIT_S)
                if question is not None:
                    self.answer(question)
            except StoreUnavailable as error:
                log.warning("probe.missed", reason=error.reason)
                self._stopped.wait(_PAUSE_S)
            except Exception:  # a dead thread would answer no further question
                log.exception("probe.failed")
                self._stopped.wait(_PAUSE_S)

    def answer(self, question: Question) -> None:
        """Probe a source and answer, unless nobody waits for it any more."""
        left_s = (question.until - self._store.now()) / 1e6
        began = time.monotonic()
        end = began + min(left_s, MAX_S)

        def late() -> bool:
            return time.monotonic() > end or self._stopped.is_set()

        if late():
            return
        try:
            self._look(question, late)
        finally:
            seconds = time.monotonic() - began
            self._store.probes.spend(question, seconds, in_vain=seconds >= MAX_S)

    def _look(self, question: Question, late: Callable[[], bool]) -> None:
        try:
            with scratch(self._settings.storage.scratch_dir) as folder:
                probe = self._probe(question, folder / "source", late)
        except (TransferCancelled, Cancelled):
            return
        except (JobFailed, SeparationError) as error:
            probe = Probe(failure_code(error), error.message)
        self._store.probes.answer(question.id, probe)

    def _check_model(self, spec: JobSpec) -> None:
        """Check that the model that a job names answers its mode.

        Raises:
            OptionError: It does not.
        """
        # Another worker may have what this one lacks.
        with contextlib.suppress(WeightsMissing, CardError):
            choose(spec, self._settings.engine)

    def _probe(self, question: Question, path: Path, late: Callable[[], bool]) -> Probe:
        for each in question.specs:
            self._check_model(each)
        spec, source = question.specs[0], self._settings.source
        most = min(source.max_bytes, MAX_BYTES)
        try:
            size = self._buckets.download(
                spec.tenant, spec.input_object, path, max_bytes=most, cancelled=late
            ).size
        except SourceTooLarge:
            where = spec.tenant.region, spec.tenant.bucket, spec.input_object
            head = self._buckets.head(*where, cancelled=late)
            if head is None or head.size is None or head.size > source.max_bytes:
                raise
            return Probe(size=head.size)
        limits = MediaLimits(source.max_duration_s, source.max_bytes, source.max_pause_s)
        with self._decoder.open(path, limits=limits, track=spec.audio_track, cancelled=late) as audio:
            found = audio.source
        return Probe(
            size=size,
            duration_s=found.duration_s,
            container=found.container,
            codec=found.codec,
            samplerate=found.samplerate,
            channels=found.channels,
            bitrate_kbps=found.bitrate_kbps,
            stem_bytes=tuple(_stem_bytes(each, path, found) for each in question.specs),
        )


def _stem_bytes(spec: JobSpec, path: Path, source: SourceInfo) -> int | None:
    """Return the expected size of one stem, bytes; ``None`` if the duration is not known.

    Raises:
        OptionError: The codec cannot be written as asked.
    """
    encoding = resolve(output_spec(spec, path), source)
    return None if source.duration_s is None else expected_bytes(encoding, source.duration_s)
