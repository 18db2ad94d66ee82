"""Runs a graph on a device: single inputs on CPUs, batches of several threads' inputs on CUDA."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from stemline.separation.batching import Batcher, stacked
from stemline.separation.errors import DeviceError, DeviceOutOfMemory, WeightsCorrupt
from stemline.separation.interruption import Interruption
from stemline.separation.logs import get_logger
from stemline.separation.sessions import (
    MAX_DIFFERENCE,
    GraphSource,
    Masks,
    Session,
    Signature,
    cuda_card,
    has_cuda,
    largest_difference,
)

log = get_logger(__name__)

Array = NDArray[np.float32]


class Runner(Protocol):
    """A graph on a device; safe to call from several threads.

    Attributes:
        device: As written to logs and job records.
        in_flight: How many inputs should be given to it at the same time, each by its own thread.
    """

    device: str
    in_flight: int

    @property
    def signature(self) -> Signature:
        """Return what the graph takes and gives."""

    def run(
        self, one: Array, *, alone: bool, level: int, interruption: Interruption | None = None
    ) -> Sequence[Array]:
        """Return every output of the graph for one input, both without the batch.

        Args:
            one: The input, of the shape that `signature` names.
            alone: See `Engine.masks`.
            level: See `Engine.masks`.
            interruption: Ends the run when it is set.

        Raises:
            Cancelled: The run was interrupted.
        """


class RunnerOptions(TypedDict, total=False):
    """The device, and what may be used of it; see `open_runner`."""

    device: str
    threads: int
    songs: int
    batch_wait_s: float


def open_runner(
    name: str,
    graph: GraphSource,
    *,
    shape: tuple[int, ...],
    largest_batch: int,
    at_once: int | None = None,
    device: str = "auto",
    threads: int = 1,
    songs: int = 1,
    batch_wait_s: float = 0.0,
) -> Runner:
    """Open the device asked for, or with `auto` the best that works.

    Args:
        name: The model, for messages.
        graph: Where the graph comes from.
        shape: Of an input, without the batch.
        largest_batch: Most inputs that a GPU runs at once.
        at_once: How many inputs CPUs run at the same time, each on its part of the threads; by default as
            many as there are threads.
        device: One of `auto`, `cpu`, `cuda`.
        threads: CPUs to use.
        songs: How many songs are separated at the same time; they share the batches of a GPU.
        batch_wait_s: How long an input waits for others before an incomplete batch runs, s.

    Raises:
        DeviceError: The device asked for cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """
    if device == "cuda" or (device == "auto" and has_cuda()):
        try:
            return _CudaRunner(name, graph, shape, largest_batch, songs=songs, batch_wait_s=batch_wait_s)
        except DeviceError as error:
            if device == "cuda":
                raise
            log.warning("engine.cuda_unavailable", reason=error.message)
    return _CpuRunner(name, graph, threads, min(at_once or threads, threads))


class _CpuRunner:
    """An equal part of the threads for each segment; all threads for a segment that is alone."""

    device = "cpu"

    def __init__(self, name: str, graph: GraphSource, threads: int, at_once: int) -> None:
        self.in_flight = at_once
        self._name = name
        self._graph = graph
        self._threads = threads
        self._session = self._open(threads=threads // at_once)
        self._wide: Session | None = None
        self._has_been_alone = False
        self._wide_lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        return self._session.signature

    def run(
        self,
        one: Array,
        *,
        alone: bool,
        level: int,  # noqa: ARG002  # no queue
        interruption: Interruption | None = None,
    ) -> Masks:
        session = self._alone_session() if alone and self.in_flight > 1 else self._session
        outputs = session.run(one[np.newaxis], interruption)
        if any(len(output) != 1 for output in outputs):
            raise WeightsCorrupt(f"The network of {self._name} gives several results for one segment.")
        return [output[0] for output in outputs]

    def _alone_session(self) -> Session:
        with self._wide_lock:
            if not self._has_been_alone:
                self._has_been_alone = True
                return self._session
            if self._wide is None:
                self._wide = self._open(threads=self._threads)
            return self._wide

    def _open(self, *, threads: int) -> Session:
        return Session(self._name, self._graph(polyphase=True), "cpu", threads=threads)


class _CudaRunner:
    """Batches of one segment and of a fixed number, in a session each.

    ONNX Runtime's CUDA provider keeps the plans of a session's convolutions for its last shape only: with one
    session, and batches of any size, nearly every run would plan them anew.
    """

    def __init__(
        self,
        name: str,
        graph: GraphSource,
        shape: tuple[int, ...],
        largest_batch: int,
        *,
        songs: int,
        batch_wait_s: float,
    ) -> None:
        card = cuda_card()
        batch = min(card.batch(), largest_batch)
        self._shape = shape
        self.device = f"cuda ({card.name})"
        model = graph(polyphase=False)
        self._single = Session(name, model, "cuda")
        self._full = Session(name, model, "cuda") if batch > 1 else self._single
        self._batcher = Batcher[Array, Sequence[Array]](
            stacked(self._batch), batch, wait_s=batch_wait_s, kind=lambda one: one.shape
        )
        self._verify(Session(name, model, "cpu"))
        # Two batches altogether: one runs while the next is transformed.
        self.in_flight = max(2, -(-2 * self._batcher.size // songs))

    @property
    def signature(self) -> Signature:
        return self._single.signature

    def run(
        self,
        one: Array,
        *,
        alone: bool,  # noqa: ARG002  # one device
        level: int,
        interruption: Interruption | None = None,
    ) -> Sequence[Array]:
        return self._batcher(one, level=level, interruption=interruption)

    def _batch(self, batch: Array, interruption: Interruption | None = None) -> Masks:
        return (self._single if len(batch) == 1 else self._full).run(batch, interruption)

    def _verify(self, reference: Session) -> None:
        """Run both sizes, which also plans their convolutions, and compare the masks with the CPU's.

        A session that was opened proves nothing: without cuDNN, the first convolution fails.
        """
        single = largest_difference(self._batch, reference.run, size=1, shape=self._shape)
        while True:
            try:
                full = largest_difference(
                    self._batch, reference.run, size=self._batcher.size, shape=self._shape
                )
                break
            except DeviceOutOfMemory:
                if self._batcher.size == 1:
                    raise
                self._batcher.size //= 2
        difference = max(single, full)
        log.info(
            "engine.verified", device=self.device, largest_difference=difference, batch=self._batcher.size
        )
        if difference > MAX_DIFFERENCE:
            raise DeviceError(
                f"{self.device} computes something else: it differs from the CPU's by up to {difference:.1e}."
            )
