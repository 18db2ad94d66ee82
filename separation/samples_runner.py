"""Runs a graph from samples to stems on a graphics processor: the host neither transforms nor masks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemline.separation.array_pool import ArrayPool
from stemline.separation.batching import Batcher
from stemline.separation.cuda import SEGMENT_BYTES, Card, page_locked
from stemline.separation.errors import DeviceError, DeviceOutOfMemory
from stemline.separation.extension import Extension
from stemline.separation.logs import get_logger
from stemline.separation.network import CHANNELS, SEGMENT_FRAMES
from stemline.separation.sessions import MAX_DIFFERENCE, Graph, Session, worst
from stemline.separation.stft import span

log = get_logger(__name__)

#: Device memory that a segment needs: that of the networks, and its samples, frames and spectrum meanwhile.
SAMPLES_BYTES: Final = SEGMENT_BYTES + (50 << 20)
#: Batches on the card: the samples of one are copied while another one is computed.
_ON_CARD: Final = 2
#: Batches in flight: a further one is ready on the host, since its threads are busy when results arrive.
_AT_ONCE: Final = _ON_CARD + 1
#: Of a segment.
_SHAPE: Final = (span(SEGMENT_FRAMES), CHANNELS)

Interleaved = NDArray[np.float32]  # (samples, 2)


def output_name(instrument: str, extension: Extension) -> str:
    """Return the output of the graph for an instrument and what happens above 11 kHz."""
    return f"{instrument}/{extension}"


class _Segment(NamedTuple):
    samples: Interleaved
    outputs: tuple[str, ...]


class _Buffers:
    """The host's memory for the samples of one batch, from which and to which the card copies.

    Args:
        size: Segments of a batch.
        results: Where the stems of each segment are copied to.
    """

    def __init__(self, size: int, results: ArrayPool) -> None:
        self._size = size
        self._results = results
        self._input = page_locked((size, *_SHAPE))
        self._outputs: dict[str, NDArray[np.float32]] = {}

    def run(
        self, session: Session, segments: Sequence[_Segment], size: int, on_card: threading.Semaphore
    ) -> list[list[Interleaved]]:
        """Return the outputs that each segment asks for, computed in a batch of `size`.

        The card is taken when the batch is ready, and left when its outputs are on the host.
        """
        batch = self._input[:size]
        for row, segment in zip(batch, segments, strict=False):
            row[:] = segment.samples
        batch[len(segments) :] = 0
        names = dict.fromkeys(name for segment in segments for name in segment.outputs)
        for name in names.keys() - self._outputs.keys():
            self._outputs[name] = page_locked((self._size, *_SHAPE))
        with on_card:
            session.run_into(batch, {name: self._outputs[name][:size] for name in names})
        return [
            [self._results.copy(self._outputs[name][number]) for name in segment.outputs]
            for number, segment in enumerate(segments)
        ]


class SamplesRunner:
    """Batches of one segment and of a fixed number, in a session each; see `runners`.

    Args:
        name: The model, for messages.
        graph: From samples to stems; see `models.samples_graph`.
        outputs: Names of its outputs.
        card: What runs it.
        songs: How many songs are separated at the same time; they share the batches.
        batch_wait_s: How long a segment waits for others before an incomplete batch runs, s.

    Raises:
        DeviceError: The card cannot run the graph, or computes something else than the processor.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        outputs: Sequence[str],
        card: Card,
        *,
        songs: int,
        batch_wait_s: float,
    ) -> None:
        size = card.batch(SAMPLES_BYTES, at_once=_ON_CARD)
        self.device = f"cuda ({card.name})"
        self._single = Session(name, graph, "cuda")
        self._full = Session(name, graph, "cuda") if size > 1 else self._single
        self._results = ArrayPool(_SHAPE, most=2 * _AT_ONCE * size)
        self._on_card = threading.Semaphore(_ON_CARD)
        self._buffers = [_Buffers(size, self._results) for _ in range(_AT_ONCE)]
        self._batcher = Batcher[_Segment, list[Interleaved]](
            self._batch, size, wait_s=batch_wait_s, at_once=_AT_ONCE
        )
        self._verify(Session(name, graph, "cpu"), tuple(outputs))
        self.in_flight = max(2, -(-_AT_ONCE * self._batcher.size // songs))

    def run(self, samples: Interleaved, outputs: Sequence[str], *, level: int) -> list[Interleaved]:
        """Return outputs of the graph for a segment (span(512), 2), each of its shape.

        Raises:
            DeviceOutOfMemory: The device has not enough memory for one segment.
            DeviceFailed: The device failed; the runner can not be used again.
        """
        return self._batcher(_Segment(samples, tuple(outputs)), level=level)

    def _batch(self, segments: Sequence[_Segment], size: int) -> list[list[Interleaved]]:
        buffers = self._buffers.pop()
        try:
            return buffers.run(self._session(size), segments, size, self._on_card)
        finally:
            self._buffers.append(buffers)

    def _session(self, size: int) -> Session:
        return self._single if size == 1 else self._full

    def _verify(self, reference: Session, outputs: tuple[str, ...]) -> None:
        """Run both sizes, which also plans their convolutions, and compare the stems with the CPU's."""
        samples = np.random.default_rng(0).standard_normal(_SHAPE, dtype=np.float32) * np.float32(0.1)
        expected = {name: np.empty((1, *_SHAPE), np.float32) for name in outputs}
        reference.run_into(samples[np.newaxis], expected)
        difference = self._difference(_Segment(samples, outputs), 1, expected)
        while (size := self._batcher.size) > 1:
            try:  # one output depends on all networks
                difference = max(difference, self._difference(_Segment(samples, outputs[:1]), size, expected))
                break
            except DeviceOutOfMemory:
                self._batcher.size //= 2
        log.info("engine.verified", device=self.device, largest_difference=difference, batch=size)
        if difference > MAX_DIFFERENCE:
            raise DeviceError(
                f"{self.device} computes something else: it differs from the CPU's by up to {difference:.1e}."
            )

    def _difference(self, segment: _Segment, size: int, expected: dict[str, NDArray[np.float32]]) -> float:
        """Return the largest difference of a sample in a full batch of equal segments."""
        buffers = _Buffers(size, self._results)
        results = buffers.run(self._session(size), [segment] * size, size, self._on_card)
        return worst(
            [
                float(np.abs(stem - expected[name][0]).max())
                for stems in results
                for name, stem in zip(segment.outputs, stems, strict=True)
            ]
        )
