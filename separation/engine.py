"""What runs the networks: the interface that every engine offers.

An engine is made once per process and model, and is safe to call from several threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from stemline.separation.network import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stemline.separation.extension import Extension
    from stemline.separation.stft import Samples

#: Devices that can be asked for; `auto` is CUDA where it is available, else the CPU.
DEVICES = ("auto", "cpu", "cuda")
#: Engines that can be asked for.
ENGINES = ("onnxruntime", "tensorflow")


class LoadedEngine(Protocol):
    """A model of any kind, loaded and ready to run."""

    @property
    def network(self) -> Network:
        """Return what is loaded."""

    @property
    def device(self) -> str:
        """Return what it runs on, as written to logs and job records: `cpu`, `cuda (NVIDIA H100)`."""

    @property
    def in_flight(self) -> int:
        """Return how many segments should be given to it at the same time, each by its own thread."""


@runtime_checkable
class Engine(Protocol):
    """Spleeter's networks of one model, loaded and ready to run.

    Attributes:
        network, device, in_flight: See `LoadedEngine`.
        any_length: Whether windows of other lengths than 512 frames can be run, which context needs.
    """

    network: Network
    device: str
    any_length: bool
    in_flight: int

    def masks(
        self, magnitude: NDArray[np.float32], *, alone: bool = False, level: int = 0
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of each bin that belongs to each instrument.

        Args:
            magnitude: (2, frames, 1,024); 512 frames, or a multiple of 64 where `any_length` is true.
            alone: No other segment is in flight, so all CPUs may work on this one.
            level: Where a device has more segments than it can run at once, those of a higher level go first.

        Returns:
            One array per instrument, in the network's order, shaped like `magnitude`, values 0 to 1.

        Raises:
            DeviceOutOfMemory: The device has not enough memory for one segment.
            DeviceFailed: The device failed; the engine can not be used again.
        """


@runtime_checkable
class TransformingEngine(Engine, Protocol):
    """An engine that may also compute the Fourier transforms, on its device.

    Attributes:
        transform: `device` where it does, else `host`.
    """

    transform: str

    def stems(
        self,
        samples: Samples,
        instruments: Sequence[str],
        extension: Extension,
        *,
        alone: bool = False,
        level: int = 0,
    ) -> list[Samples]:
        """Return stems of a segment; where `transform` is `device`.

        Args:
            samples: (2, span(512)); faster where each two samples of a moment lie beside each other.
            instruments: Which stems.
            extension: What happens above 11 kHz.
            alone: See `masks`.
            level: See `masks`.

        Returns:
            An array of the shape of `samples` for each of them; the caller may change it.

        Raises:
            DeviceOutOfMemory: The device has not enough memory for one segment.
            DeviceFailed: The device failed; the engine can not be used again.
        """
