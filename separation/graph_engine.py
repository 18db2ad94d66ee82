"""What the engines on ONNX Runtime have in common: one graph, opened once on a device."""

from __future__ import annotations

from typing import Literal, Protocol

from stemline.separation.logs import get_logger
from stemline.separation.network import Network

log = get_logger(__name__)


class Opened(Protocol):
    """What runs a graph."""

    @property
    def device(self) -> str:
        """Return what it runs on, as written to logs and job records."""

    @property
    def in_flight(self) -> int:
        """Return how many inputs should be given to it at the same time, each by its own thread."""


class Loaded(Protocol):
    """What the log says of every engine."""

    network: Network
    device: str
    in_flight: int
    transform: str


class GraphEngine:
    """A graph on a device; a `LoadedEngine`, safe to call from several threads.

    Args:
        network: What the graph computes.
        opened: What runs it.
        transform: Where the Fourier transforms are computed.
    """

    network: Network
    transform: str

    def __init__(
        self, network: Network, opened: Opened, *, transform: Literal["host", "device"] = "host"
    ) -> None:
        self.network = network
        self.device = opened.device
        self.in_flight = opened.in_flight
        self.transform = transform
        log_loaded(self)


def log_loaded(engine: Loaded, **more: str) -> None:
    """Log what was loaded, and more about it."""
    log.info(
        "engine.loaded",
        model=engine.network.name,
        device=engine.device,
        in_flight=engine.in_flight,
        transform=engine.transform,
        **more,
    )
