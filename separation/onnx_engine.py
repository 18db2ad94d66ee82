"""The networks on ONNX Runtime: on CPUs or on CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from stemline.separation.cuda import LARGEST_BATCH
from stemline.separation.network import CHANNELS, NETWORK_BINS, SEGMENT_FRAMES, Network
from stemline.separation.runners import open_runner
from stemline.separation.sessions import GraphSource

log = structlog.get_logger(__name__)


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
        self._runner = open_runner(
            network.name,
            graph,
            device,
            shape=(CHANNELS, SEGMENT_FRAMES, NETWORK_BINS),
            largest_batch=LARGEST_BATCH,
            threads=threads,
            songs=songs,
            batch_wait_s=batch_wait_s,
        )
        self.device = self._runner.device
        self.in_flight = self._runner.in_flight
        log.info("engine.loaded", model=network.name, device=self.device, in_flight=self.in_flight)

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        return self._runner.run(magnitude, alone=alone, level=level)
