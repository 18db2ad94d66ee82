"""What the engines on ONNX Runtime have in common: one graph, opened once on a device."""

from __future__ import annotations

from typing import Unpack

from stemline.separation.logs import get_logger
from stemline.separation.network import Network
from stemline.separation.runners import RunnerOptions, open_runner
from stemline.separation.sessions import GraphSource

log = get_logger(__name__)


class GraphEngine:
    """A graph on a device; a `LoadedEngine`, safe to call from several threads.

    Args:
        network: What the graph computes.
        graph: Where the graph comes from.
        shape: Of an input, without the batch.
        largest_batch: Most inputs that a GPU runs at once.
        at_once: How many inputs CPUs run at the same time; by default as many as there are threads.
        options: The device and what may be used of it; see `open_runner`.

    Raises:
        DeviceError: The device asked for cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph, or it is not the network's.
    """

    network: Network

    def __init__(
        self,
        network: Network,
        graph: GraphSource,
        *,
        shape: tuple[int, ...],
        largest_batch: int,
        at_once: int | None = None,
        **options: Unpack[RunnerOptions],
    ) -> None:
        self.network = network
        self._runner = open_runner(
            network.name, graph, shape=shape, largest_batch=largest_batch, at_once=at_once, **options
        )
        self._check()
        self.device = self._runner.device
        self.in_flight = self._runner.in_flight
        log.info("engine.loaded", model=network.name, device=self.device, in_flight=self.in_flight)

    def _check(self) -> None:
        """Compare what the graph takes and gives with the network; a graph of ours is right.

        Raises:
            WeightsCorrupt: They differ.
        """
