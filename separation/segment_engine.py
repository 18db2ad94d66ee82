"""Networks that see segments of samples, of any kind but Spleeter's, on ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from operator import mul
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import WeightsCorrupt
from stemline.separation.graph_engine import GraphEngine
from stemline.separation.interruption import Interruption
from stemline.separation.kinds.kind import NetworkKind
from stemline.separation.network import CHANNELS, SAMPLE_RATE, Network
from stemline.separation.runners import RunnerOptions, open_runner
from stemline.separation.segments import Segmentation
from stemline.separation.sessions import GraphSource, Shape

#: What the mix is shifted and scaled by before the network: see `models.card.Card`.
Normalisation = Literal["none", "track", "running"]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentNetwork(Network):
    """A network that sees segments.

    Attributes:
        outputs: The stems that the network gives, in its order; `instruments` has these first.
        mix_less: Further stems: the mix less others, by name.
        kind: What the network takes and gives.
        cutting: How a stream is cut into segments.
        normalisation: What the mix is shifted and scaled by.
        channels: That the network sees at a time: both, or one after the other.
        rate: Of its samples, Hz.
    """

    outputs: tuple[str, ...]
    kind: NetworkKind
    cutting: Segmentation
    mix_less: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    normalisation: Normalisation = "none"
    channels: int = CHANNELS
    rate: int = SAMPLE_RATE

    def is_complete(self, stems: Iterable[str]) -> bool:
        """Return whether these stems add up to the mix: one of them is the mix less all others."""
        return is_mix(set(stems), self.mix_less)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the network's own stems, unless there is a further one for what they leave."""
        return independent(self.outputs, self.mix_less)


def independent(stems: tuple[str, ...], mix_less: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return several stems that are meant to be the mix: no other one is the mix less all of them."""
    is_all = len(stems) > 1 and not any(set(others) == set(stems) for others in mix_less.values())
    return stems if is_all else ()


def is_mix(stems: set[str], mix_less: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether one of the stems is the mix less all others."""
    return any(name in stems and set(others) == stems - {name} for name, others in mix_less.items())


class SegmentEngine(GraphEngine):
    """A network that sees segments, loaded and ready to run.

    Args:
        network: What the graph computes.
        graph: Where the graph comes from.
        at_once: Segments that CPUs run at the same time.
        batch: Most segments that a GPU runs at once.
        options: The device and what may be used of it; see `open_runner`.

    Raises:
        DeviceError: The device asked for cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph, or it is not what its card says.
    """

    network: SegmentNetwork

    def __init__(
        self,
        network: SegmentNetwork,
        graph: GraphSource,
        *,
        at_once: int = 1,
        batch: int = 1,
        **options: Unpack[RunnerOptions],
    ) -> None:
        self._batch = batch
        self.network = network
        self._runner = open_runner(
            network.name, graph, shape=network.kind.shape, largest_batch=batch, at_once=at_once, **options
        )
        self._check()
        super().__init__(network, self._runner)

    def stems(
        self,
        mix: NDArray[np.float32],
        *,
        alone: bool = False,
        level: int = 0,
        interruption: Interruption | None = None,
    ) -> NDArray[np.float32]:
        """Return the network's stems of a segment.

        Args:
            mix: (2, length of a segment).
            alone: No other segment is in flight, so all CPUs may work on this one.
            level: Where a device has more segments than it can run at once, those of a higher level go first.
            interruption: Ends the run where the result is no longer wanted.

        Returns:
            (stems, 2, length of a segment), in the order of the network's `outputs`.

        Raises:
            Cancelled: The run was interrupted.
            DeviceOutOfMemory: The device has not enough memory for one segment.
            DeviceFailed: The device failed; the engine can not be used again.
            WeightsCorrupt: The network gives something else than its card says.
        """
        run = partial(self._run, alone=alone, level=level, interruption=interruption)
        if self.network.channels == CHANNELS:
            return run(mix)
        left = run(mix[:1])
        right = left if np.array_equal(mix[0], mix[1]) else run(mix[1:])
        return np.concatenate([left, right], axis=1)

    def _run(
        self, mix: NDArray[np.float32], *, alone: bool, level: int, interruption: Interruption | None
    ) -> NDArray[np.float32]:
        """Return the stems of the channels that the network sees at a time."""
        kind = self.network.kind
        given, context = kind.encode(mix)
        output = self._runner.run(given, alone=alone, level=level, interruption=interruption)[0]
        if not _regroups(output.shape, kind.output_shape):
            raise WeightsCorrupt(
                f"The network of {self.network.name} gives {output.shape}, and its card says"
                f" {kind.output_shape}."
            )
        return kind.decode(output.reshape(kind.output_shape), context)

    def _check(self) -> None:
        """Compare what the graph takes and gives with the network.

        Raises:
            WeightsCorrupt: They differ.
        """
        signature = self._runner.signature
        kind, takes, gives = self.network.kind, signature.input_shape[1:], signature.output_shape[1:]
        most = next(iter(signature.input_shape), None)
        if signature.inputs != 1 or signature.outputs != 1 or not signature.is_single:
            problem = "must take one input and give one output, both float32"
        elif not _fits(takes, kind.shape):
            problem = f"takes {_text(takes)}, and its card says {_text(kind.shape)} ({kind.fields[0]})"
        elif not _regroups(gives, kind.output_shape):
            problem = f"gives {_text(gives)}, and its card says {_text(kind.output_shape)} ({kind.fields[1]})"
        elif isinstance(most, int) and (most != 1 or self._batch != 1):
            problem = (
                f"takes exactly {most} segments at a time; it must take one, or any number (segment.batch)"
            )
        else:
            return
        raise WeightsCorrupt(f"The network of {self.network.name} {problem}.")


def _fits(found: Shape, expected: tuple[int, ...]) -> bool:
    """Return whether a shape can be the expected one."""
    return len(found) == len(expected) and all(
        not isinstance(size, int) or size == wanted for size, wanted in zip(found, expected, strict=True)
    )


def _regroups(found: Shape, expected: tuple[int, ...]) -> bool:
    """Return whether values of this shape have the order of the expected one.

    Neighbouring dimensions may be one, as stems and channels are in some networks, or may be split; another
    order of as many values is not what the card says. A shape that is not all numbers may be any.
    """
    sizes = [size for size in found if isinstance(size, int)]
    if len(sizes) < len(found):
        return True
    if math.prod(sizes) != math.prod(expected):
        return False
    return _bounds(sizes) <= _bounds(expected) or _bounds(expected) <= _bounds(sizes)


def _bounds(sizes: Sequence[int]) -> set[int]:
    """Return the products of the dimensions from each one to the last."""
    return set(accumulate(reversed(sizes), mul))


def _text(shape: Shape) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "no shape"
