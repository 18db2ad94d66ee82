"""The networks on ONNX Runtime: on CPUs or on CUDA."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from stemline.separation.cuda import LARGEST_BATCH
from stemline.separation.errors import DeviceError, SeparationError
from stemline.separation.extension import Extension
from stemline.separation.graph_engine import GraphEngine
from stemline.separation.logs import get_logger
from stemline.separation.network import CHANNELS, NETWORK_BINS, SEGMENT_FRAMES, Network
from stemline.separation.runners import Runner, RunnerOptions, open_runner
from stemline.separation.samples_runner import SamplesRunner, output_name
from stemline.separation.sessions import Graph, GraphSource, cuda_card, has_cuda
from stemline.separation.stft import Samples

log = get_logger(__name__)


class OnnxEngine(GraphEngine):
    """The networks of one model in ONNX Runtime; an `Engine`.

    On a CPU each segment runs on one thread, and as many segments as threads are in flight: that is faster
    than one segment at a time on all threads. A segment that is alone runs on all threads, in a second
    session; the first one does not, since opening that session takes longer than a segment. On a GPU the
    segments of all threads are gathered into batches, and go from samples to stems there if the card can run
    that graph; the graph of the masks is then opened when they are first asked for.

    Args:
        network: What the graphs compute.
        graph: Where the graph of the masks comes from.
        samples_graph: Where the graph from samples to stems comes from; without it, hosts transform.
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
        samples_graph: Callable[[], Graph] | None = None,
        at_once: int | None = None,
        **options: Unpack[RunnerOptions],
    ) -> None:
        self._samples = _open_samples(network, samples_graph, options) if samples_graph else None
        if self._samples:
            options = {**options, "device": "cuda"}
        self._open = partial(
            open_runner,
            network.name,
            graph,
            shape=(CHANNELS, SEGMENT_FRAMES, NETWORK_BINS),
            largest_batch=LARGEST_BATCH,
            at_once=at_once,
            **options,
        )
        self._lock = threading.Lock()
        self._masks: Runner | None = None if self._samples else self._open()
        opened = self._samples or self._masks_runner()
        super().__init__(network, opened, transform="device" if self._samples else "host")

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        return self._masks_runner().run(magnitude, alone=alone, level=level)

    def stems(
        self,
        samples: Samples,
        instruments: Sequence[str],
        extension: Extension,
        *,
        alone: bool = False,  # noqa: ARG002  # a card is not shared out
        level: int = 0,
    ) -> list[Samples]:
        """Return stems of a segment, where `transform` is `device`; see `TransformingEngine.stems`.

        Raises:
            DeviceError: `transform` is `host`.
        """
        if self._samples is None:
            raise DeviceError("This engine has no graph from samples to stems.")
        outputs = [output_name(name, extension) for name in instruments]
        return [stem.T for stem in self._samples.run(samples.T, outputs, level=level)]

    def _masks_runner(self) -> Runner:
        with self._lock:
            if self._masks is None:
                self._masks = self._open()
            return self._masks


def _open_samples(
    network: Network, graph: Callable[[], Graph], options: RunnerOptions
) -> SamplesRunner | None:
    """Open the graph from samples to stems on a card; None where there is none, or it cannot run it."""
    device = options.get("device", "auto")
    if device == "cpu" or not has_cuda():
        return None
    try:
        card = cuda_card()
    except DeviceError:
        return None  # said when the graph of the masks is opened
    try:
        return SamplesRunner(
            network.name,
            graph(),
            [output_name(name, extension) for name in network.instruments for extension in Extension],
            card,
            songs=options.get("songs", 1),
            batch_wait_s=options.get("batch_wait_s", 0.0),
        )
    except SeparationError as error:
        log.warning("engine.transform_on_host", reason=error.message)
        return None
