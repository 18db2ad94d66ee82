"""The networks on ONNX Runtime: on CPUs or on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from stemline.separation.cuda import LARGEST_BATCH
from stemline.separation.graph_engine import GraphEngine
from stemline.separation.network import CHANNELS, NETWORK_BINS, SEGMENT_FRAMES, Network
from stemline.separation.runners import RunnerOptions
from stemline.separation.sessions import GraphSource


class OnnxEngine(GraphEngine):
    """The networks of one model in ONNX Runtime; an `Engine`.

    On a CPU each segment runs on one thread, and as many segments as threads are in flight: that is faster
    than one segment at a time on all threads. A segment that is alone runs on all threads, in a second
    session; the first one does not, since opening that session takes longer than a segment. On a GPU the
    segments of all threads are gathered into batches.

    Args:
        network: What the graph computes.
        graph: Where the graph comes from.
        at_once: How many segments CPUs compute at the same time; by default as many as there are threads.
        options: The device and what may be used of it; see `open_runner`.

    Raises:
        DeviceError: The device asked for cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """

    any_length = True

    def __init__(
        self,
        network: Network,
        graph: GraphSource,
        *,
        at_once: int | None = None,
        **options: Unpack[RunnerOptions],
    ) -> None:
        super().__init__(
            network,
            graph,
            shape=(CHANNELS, SEGMENT_FRAMES, NETWORK_BINS),
            largest_batch=LARGEST_BATCH,
            at_once=at_once,
            **options,
        )

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        return self._runner.run(magnitude, alone=alone, level=level)
