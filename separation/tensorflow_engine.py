"""The networks on TensorFlow, built by the `spleeter` package's own code.

For sites that already run TensorFlow, and as the reference for the other engine's results. It needs the extra
`tensorflow` (Python before 3.12); `make reference` builds an environment that has it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemline.separation.batching import Array, Batcher, stacked
from stemline.separation.cuda import first_card
from stemline.separation.errors import (
    DeviceError,
    DeviceFailed,
    DeviceOutOfMemory,
    OptionError,
    WeightsCorrupt,
)
from stemline.separation.logs import get_logger
from stemline.separation.network import CHANNELS, MASK_EPSILON, NETWORK_BINS, SEGMENT_FRAMES, Network

log = get_logger(__name__)


class TensorFlowEngine:
    """The networks of one model in TensorFlow; an `Engine`.

    Args:
        network: The networks of the checkpoint.
        weights: Folder of the verified checkpoint.
        device: `auto`, `cpu` or `cuda`.
        threads: CPUs to use.

    Raises:
        OptionError: TensorFlow or spleeter is not installed.
        DeviceError: The device asked for is not there.
        WeightsCorrupt: The checkpoint does not fit the network.
    """

    def __init__(self, network: Network, weights: Path, *, device: str = "auto", threads: int = 1) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import tensorflow as tf  # noqa: PLC0415  # half a gigabyte, and slow to import
        except ImportError as error:
            raise OptionError("The tensorflow engine needs the extra stemline[tensorflow].") from error
        self._tensorflow = tf
        self.network = network
        self.any_length = False  # spleeter's graph takes 512 frames
        self.in_flight = 1
        self._batcher: Batcher[Array, list[Array]] | None = None
        self.device = self._choose(device)
        self._open(weights, threads)
        log.info("engine.loaded", engine="tensorflow", model=network.name, device=self.device)

    def masks(
        self,
        magnitude: NDArray[np.float32],
        *,
        alone: bool = False,  # noqa: ARG002  # TensorFlow always uses all its threads
        level: int = 0,
    ) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        if self._batcher is not None:
            return self._batcher(magnitude, level=level)
        return [mask[0] for mask in self._run(magnitude[np.newaxis])]

    def _run(self, magnitude: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        errors = self._tensorflow.errors
        last = np.ascontiguousarray(np.moveaxis(magnitude, 1, -1))
        try:
            masks = self._session.run(self._masks, {self._input: last})
        except errors.ResourceExhaustedError as error:
            raise DeviceOutOfMemory from error
        except errors.OpError as error:
            raise DeviceFailed(f"{self.device} failed: {error.message}") from error
        return [np.ascontiguousarray(np.moveaxis(mask, -1, 1)) for mask in masks]

    def _choose(self, device: str) -> str:
        gpus = self._tensorflow.config.list_physical_devices("GPU")
        if device == "cpu" or (device == "auto" and not gpus):
            return "cpu"
        if not gpus:
            raise DeviceError(f"{device} was asked for, but TensorFlow finds no such device.")
        card = first_card()
        self._batcher = Batcher[Array, list[Array]](stacked(self._run), card.batch())
        self.in_flight = 2 * self._batcher.size
        return f"cuda ({card.name})"

    def _open(self, weights: Path, threads: int) -> None:
        """Build the graph with spleeter's model functions and restore the weights."""
        import spleeter.model  # noqa: PLC0415
        from spleeter.utils.configuration import load_configuration  # noqa: PLC0415

        v1 = self._tensorflow.compat.v1
        params = load_configuration(f"spleeter:{self.network.name}")
        if tuple(params["instrument_list"]) != self.network.instruments:
            raise OptionError(f"The installed spleeter has other stems in {self.network.name}.")
        options = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
        options.gpu_options.allow_growth = True
        if self.device == "cpu":
            options.device_count["GPU"] = 0
        with self._tensorflow.Graph().as_default():
            self._input = v1.placeholder(
                self._tensorflow.float32, (None, SEGMENT_FRAMES, NETWORK_BINS, CHANNELS)
            )
            builder = spleeter.model.EstimatorSpecBuilder({"mix_spectrogram": self._input}, params)
            self._masks = self._shares(list(builder.model_outputs.values()))
            saver = v1.train.Saver()
            self._session: Any = v1.Session(config=options)
            try:
                saver.restore(self._session, str(weights / "model"))
            except self._tensorflow.errors.OpError as error:
                raise WeightsCorrupt(f"TensorFlow rejects the weights of {self.network.name}.") from error

    def _shares(self, estimates: list[Any]) -> list[Any]:
        """Return (e² + epsilon / n) / (Σ e² + epsilon), as spleeter does before it extends the masks."""
        squares = [estimate**2 for estimate in estimates]
        total = self._tensorflow.add_n(squares) + MASK_EPSILON
        return [(square + MASK_EPSILON / len(squares)) / total for square in squares]
