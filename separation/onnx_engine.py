"""The networks on ONNX Runtime: on CPUs or on CUDA."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from stemline.separation.batching import Batcher
from stemline.separation.errors import DeviceError, DeviceOutOfMemory
from stemline.separation.network import CHANNELS, NETWORK_BINS, SEGMENT_FRAMES, Network
from stemline.separation.sessions import GraphSource, Masks, Session, cuda_card, has_cuda, largest_difference

log = structlog.get_logger(__name__)

#: A device whose masks differ from the CPU's by more computes something else. Exact arithmetic in another
#: order differs by some 1e-5, TF32 by some 1e-3.
MOST_DIFFERENCE = 1e-3


class OnnxEngine:
    """The networks of one model in ONNX Runtime; an `Engine`.

    On a CPU each segment runs on one thread, and as many segments as threads are in flight: that is faster
    than one segment at a time on all threads. A segment that is alone runs on all threads, in a second
    session; the first one does not, since opening that session takes longer than a segment. On a GPU the
    segments of all threads are gathered into batches.

    Args:
        network: What the graph computes.
        graph: Where the graph comes from.
        device: One of `auto`, `cpu`, `cuda`.
        threads: CPUs to use.
        songs: How many songs are separated at the same time; they share the batches of a GPU.
        batch_wait_s: How long a segment waits for others before an incomplete batch runs, s.

    Raises:
        DeviceError: The device asked for cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """

    def __init__(
        self,
        network: Network,
        graph: GraphSource,
        *,
        device: str = "auto",
        threads: int = 1,
        songs: int = 1,
        batch_wait_s: float = 0.0,
    ) -> None:
        self.network = network
        self.any_length = True
        self._runner = _runner(
            network, graph, device, threads=threads, songs=songs, batch_wait_s=batch_wait_s
        )
        self.device = self._runner.device
        self.in_flight = self._runner.in_flight
        log.info("engine.loaded", model=network.name, device=self.device, in_flight=self.in_flight)

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        return self._runner.masks(magnitude, alone=alone, level=level)


def _runner(
    network: Network,
    graph: GraphSource,
    device: str,
    *,
    threads: int,
    songs: int,
    batch_wait_s: float,
) -> _CpuRunner | _CudaRunner:
    """Open the device asked for, or with `auto` the best that works."""
    if device == "cuda" or (device == "auto" and has_cuda()):
        try:
            return _CudaRunner(network, graph, songs=songs, batch_wait_s=batch_wait_s)
        except DeviceError as error:
            if device == "cuda":
                raise
            log.warning("engine.cuda_unavailable", reason=error.message)
    return _CpuRunner(network, graph, threads)


class _CpuRunner:
    """One thread for each segment; all threads for a segment that is alone."""

    device = "cpu"

    def __init__(self, network: Network, graph: GraphSource, threads: int) -> None:
        self.in_flight = threads
        self._network = network
        self._graph = graph
        self._threads = threads
        self._session = self._open(threads=1)
        self._wide: Session | None = None
        self._has_been_alone = False
        self._wide_lock = threading.Lock()

    def masks(self, magnitude: NDArray[np.float32], *, alone: bool, level: int) -> Masks:  # noqa: ARG002  # no queue
        session = self._alone_session() if alone and self._threads > 1 else self._session
        return [mask[0] for mask in session.run(magnitude[np.newaxis])]

    def _alone_session(self) -> Session:
        with self._wide_lock:
            if not self._has_been_alone:
                self._has_been_alone = True
                return self._session
            if self._wide is None:
                self._wide = self._open(threads=self._threads)
            return self._wide

    def _open(self, *, threads: int) -> Session:
        return Session(self._network.name, self._graph(polyphase=True), "cpu", threads=threads)


class _CudaRunner:
    """Batches of one segment and of a fixed number, in a session each.

    ONNX Runtime's CUDA provider keeps the plans of a session's convolutions for its last shape only: with one
    session, and batches of any size, nearly every run would plan them anew.
    """

    def __init__(self, network: Network, graph: GraphSource, *, songs: int, batch_wait_s: float) -> None:
        card = cuda_card()
        self.device = f"cuda ({card.name})"
        model = graph(polyphase=False)
        self._single = Session(network.name, model, "cuda")
        self._full = Session(network.name, model, "cuda") if card.batch > 1 else self._single
        self._batcher = Batcher(self._run, card.batch, wait_s=batch_wait_s)
        self._verify(Session(network.name, model, "cpu"))
        # Two batches altogether: one runs while the next is transformed.
        self.in_flight = max(2, -(-2 * self._batcher.size // songs))

    def masks(
        self,
        magnitude: NDArray[np.float32],
        *,
        alone: bool,  # noqa: ARG002  # the device is one
        level: int,
    ) -> Sequence[NDArray[np.float32]]:
        return self._batcher(magnitude, level=level)

    def _run(self, batch: NDArray[np.float32]) -> Masks:
        return (self._single if len(batch) == 1 else self._full).run(batch)

    def _verify(self, reference: Session) -> None:
        """Run both sizes, which also plans their convolutions, and compare the masks with the CPU's.

        A session that was opened proves nothing: without cuDNN, the first convolution fails.
        """
        shape = (CHANNELS, SEGMENT_FRAMES, NETWORK_BINS)
        single = largest_difference(self._run, reference.run, size=1, shape=shape)
        while True:
            try:
                full = largest_difference(self._run, reference.run, size=self._batcher.size, shape=shape)
                break
            except DeviceOutOfMemory:
                if self._batcher.size == 1:
                    raise
                self._batcher.size //= 2
        difference = max(single, full)
        log.info(
            "engine.verified", device=self.device, largest_difference=difference, batch=self._batcher.size
        )
        if difference > MOST_DIFFERENCE:
            raise DeviceError(
                f"{self.device} computes wrong masks: they differ from the CPU's by up to {difference:.1e}."
            )
