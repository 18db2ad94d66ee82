"""Runs a network of another sample rate than that of the streams."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import tee

import numpy as np

from stemline.separation.media.resample import Resampler
from stemline.separation.moments import Moments
from stemline.separation.network import CHANNELS, SAMPLE_RATE
from stemline.separation.piece_buffer import PieceBuffer
from stemline.separation.segment_engine import SegmentEngine
from stemline.separation.segment_separator import SegmentSeparator
from stemline.separation.stream_separator import StageTimer, StreamSeparator
from stemline.separation.windows import Block


class ResampledSeparator(StreamSeparator):
    """Converts a stream to the rate of a network, and the network's stems back, exact in length and place.

    A stem that is the mix less others is made of the mix as it came: it keeps what lies above the network's
    highest frequency, and adds up to the mix with the others.

    Args:
        inner: Separates at the network's rate; this one closes it.
    """

    def __init__(self, inner: SegmentSeparator) -> None:
        self.engine: SegmentEngine = inner.engine
        self._inner = inner

    @property
    def moment_rates(self) -> frozenset[int]:
        """Return the network's rate, where its moments have to be known before."""
        return self._inner.moment_rates

    def close(self) -> None:
        """End the threads."""
        self._inner.close()

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
        wanted = self._wanted(instruments)
        needed = tuple(dict.fromkeys(stem for name in wanted for stem in network.mix_less.get(name, (name,))))
        feed, mix_feed = tee(blocks)
        mix = PieceBuffer({"": block} for block in mix_feed if len(block))
        there = Resampler(SAMPLE_RATE, network.rate)
        back = Resampler(network.rate, SAMPLE_RATE, CHANNELS * len(needed))
        pieces = self._inner.separate(
            converted(feed, there, lambda: ceiling(there.received, network.rate)),
            instruments=needed,
            timer=timer,
            moments=moments,
            cancelled=cancelled,
        )
        with closing(pieces):
            rows = (np.concatenate([piece[stem] for stem in needed], axis=1) for piece in pieces)
            for samples in converted(rows, back, lambda: there.received):
                whole = mix.take(len(samples))[""]
                stems = dict(zip(needed, np.split(samples, len(needed), axis=1), strict=True))
                yield {
                    name: np.ascontiguousarray(
                        whole - sum(stems[stem] for stem in network.mix_less[name])
                        if name in network.mix_less
                        else stems[name]
                    )
                    for name in wanted
                }


def converted(blocks: Iterable[Block], resampler: Resampler, frames: Callable[[], int]) -> Iterator[Block]:
    """Yield a stream at another rate; `frames` says at its end how many samples it has in all."""
    for block in blocks:
        if len(ready := resampler.feed(block)):
            yield ready
    if len(rest := resampler.finish(frames())):
        yield rest


def ceiling(samples: int, rate: int) -> int:
    """Return how many samples a stream has at another rate, rounded up: converted back it is no shorter."""
    return -(-samples * rate // SAMPLE_RATE)
