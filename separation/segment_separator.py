"""Separates a stream by a network that sees segments, in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import starmap

import numpy as np

from stemline.separation.interruption import Interruption
from stemline.separation.moments import Moments
from stemline.separation.network_output import check_output
from stemline.separation.segment_engine import SegmentEngine, SegmentNetwork
from stemline.separation.segments import Joiner, Samples, Segment, Stems, split
from stemline.separation.stream_separator import OrderedThreads, StageTimer, StreamSeparator
from stemline.separation.windows import Block


class SegmentSeparator(StreamSeparator):
    """Runs a network that sees segments on streams, one after another or several at once.

    Args:
        engine: The loaded model.
        level: Where an engine has to choose, segments of a higher level go first.
    """

    def __init__(self, engine: SegmentEngine, *, level: int = 0) -> None:
        self.engine: SegmentEngine = engine
        self.level = level
        self._threads = OrderedThreads(engine.in_flight)

    @property
    def moment_rates(self) -> frozenset[int]:
        """Return the network's rate, where it is normalised by the whole track."""
        network = self.engine.network
        return frozenset({network.rate} if network.normalisation == "track" else ())

    def close(self) -> None:
        """End the threads; running segments are waited for."""
        self._threads.close()

    def separate(
        self,
        blocks: Iterable[Block],
        *,
        instruments: Sequence[str] | None = None,
        timer: StageTimer | None = None,
        moments: Mapping[int, Moments] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Generator[Mapping[str, Block]]:
        """Separate a stream, piece by piece; see `StreamSeparator.separate`."""
        network = self.engine.network
        plan = _plan(network, self._wanted(instruments))
        joiner = Joiner(network.cutting.weights)
        interruption = Interruption()
        run = partial(
            self._run,
            plan=plan,
            timer=timer or StageTimer(),
            moments=None if moments is None else moments.get(network.rate),
            interruption=interruption,
        )
        segments = split(blocks, network.cutting)
        found = self._threads.results(run, segments, cancelled=cancelled, interruption=interruption)
        with closing(found) as results:
            for rows in starmap(joiner.add, results):
                yield from plan.pieces(rows)
        rest = joiner.rest()
        if rest is not None:
            yield from plan.pieces(rest)

    def _run(
        self,
        segment: Segment,
        plan: _Plan,
        timer: StageTimer,
        moments: Moments | None,
        interruption: Interruption,
    ) -> Stems:
        """Normalise and infer one segment; runs in a thread of the pool."""
        clock = time.perf_counter()
        # What becomes of infinite values is found here, and needs no warning beside.
        with np.errstate(over="ignore", invalid="ignore"):
            stems = self._stems(segment, moments, interruption)
        check_output(self.engine, [stems])
        stems = plan.needed(stems, segment.samples)
        timer.add("infer", clock)
        return stems

    def _stems(self, segment: Segment, moments: Moments | None, interruption: Interruption) -> Stems:
        """Return the network's stems of a segment."""
        mix = segment.samples
        normalisation = self.engine.network.normalisation
        separate = partial(self.engine.stems, alone=segment.only, level=self.level, interruption=interruption)
        if normalisation == "none":
            return separate(mix)
        of = moments if normalisation == "track" and moments is not None else segment.moments
        scale, shift = np.float32(of.deviation), np.float32(of.mean)
        normalised = np.zeros_like(mix)  # also around the stream, as Demucs pads what is normalised
        normalised[:, segment.present] = (mix[:, segment.present] - shift) / scale
        return separate(normalised) * scale + shift


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which of the network's stems are joined, and what is made of them.

    Attributes:
        joined: Numbers of the network's stems; the mix follows them where `with_mix` is set.
        made: By name, the rows that are added up: the first with a plus, the others with a minus.
    """

    joined: tuple[int, ...]
    with_mix: bool
    made: Mapping[str, tuple[int, ...]]

    def needed(self, stems: Stems, mix: Samples) -> Stems:
        """Return the rows to join of a segment."""
        rows = [stems[number] for number in self.joined]
        return np.stack([*rows, mix] if self.with_mix else rows)

    def pieces(self, rows: Stems) -> Iterable[Mapping[str, Block]]:
        """Yield the stems of joined rows, unless these are empty."""
        if not rows.shape[-1]:
            return
        piece = {}
        for name, (first, *others) in self.made.items():
            stem = rows[first].copy()
            for other in others:
                stem -= rows[other]
            piece[name] = np.ascontiguousarray(stem.T)
        yield piece


def _plan(network: SegmentNetwork, wanted: Sequence[str]) -> _Plan:
    needs = {name: network.mix_less.get(name, (name,)) for name in wanted}
    joined = sorted({network.outputs.index(stem) for stems in needs.values() for stem in stems})
    row = {network.outputs[number]: place for place, number in enumerate(joined)}
    mix = len(joined)
    made = {
        name: (mix, *(row[stem] for stem in stems)) if name in network.mix_less else (row[name],)
        for name, stems in needs.items()
    }
    return _Plan(tuple(joined), any(name in network.mix_less for name in wanted), made)
