"""The compiled networks as an engine, for CPUs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemline.separation.extension import Extension
from stemline.separation.graph_engine import log_loaded
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.native.unet import UNets
from stemline.separation.network import SEGMENT_FRAMES, Network
from stemline.separation.stft import Samples


class NativeEngine:
    """The networks of one model in compiled code, and the transforms; a `TransformingEngine`.

    The networks of all segments share the threads, and more than one segment is in flight, so that one is
    transformed while those of another run; a segment that is alone, or the last one, has all threads.

    Args:
        network: What the networks are called.
        networks: Runs them.
        stft: Runs the transforms.
        at_once: How many segments are in flight.
        kernels: The instruction set of the compiled code, for the log.
    """

    any_length = True
    device = "cpu"
    transform = "device"

    def __init__(
        self,
        network: Network,
        networks: UNets,
        stft: NativeSTFT,
        *,
        at_once: int = 1,
        kernels: str = "",
    ) -> None:
        self.network = network
        self.in_flight = at_once
        self._networks = networks
        self._stft = stft
        log_loaded(self, kernels=kernels)

    def masks(
        self,
        magnitude: NDArray[np.float32],
        *,
        alone: bool = False,  # noqa: ARG002  # a segment that is alone has all threads anyway
        level: int = 0,  # noqa: ARG002  # first come, first served
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        return self._networks.masks(magnitude)

    def stems(
        self,
        samples: Samples,
        instruments: Sequence[str],
        extension: Extension,
        *,
        alone: bool = False,
        level: int = 0,
    ) -> list[Samples]:
        """Return stems of a segment; see `TransformingEngine.stems`."""
        spectrum, magnitude = self._stft.forward(samples, SEGMENT_FRAMES)
        masks = self.masks(magnitude, alone=alone, level=level)
        del magnitude
        shares = [masks[self.network.instruments.index(name)] for name in instruments]
        del masks  # the others are needed no more
        return [self._stft.share(samples, spectrum, share, extension.share(share)) for share in shares]
