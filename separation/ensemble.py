"""The weighted average of several models' stems; a bag of models is one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import tee

import numpy as np

from stemline.separation.engine import LoadedEngine
from stemline.separation.moments import Moments
from stemline.separation.network import Network
from stemline.separation.piece_buffer import PieceBuffer
from stemline.separation.segment_engine import independent, is_mix
from stemline.separation.stream_separator import StageTimer, StreamSeparator
from stemline.separation.windows import Block


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleNetwork(Network):
    """What an ensemble gives.

    Attributes:
        averaged: The stems that are averages; `instruments` has these first.
        mix_less: Further stems: the mix less others, by name.
    """

    averaged: tuple[str, ...]
    mix_less: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def is_complete(self, stems: Iterable[str]) -> bool:
        """Return whether these stems add up to the mix: one of them is the mix less all others."""
        return is_mix(set(stems), self.mix_less)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the averages, unless there is a further stem for what they leave."""
        return independent(self.averaged, self.mix_less)


@dataclass(frozen=True, slots=True)
class EnsembleMember:
    """A loaded model, and the weight of each of its stems; a stem that is not named has weight 0."""

    engine: LoadedEngine
    weights: Mapping[str, float]


class EnsembleEngine:
    """The loaded models of an ensemble.

    Args:
        network: What the ensemble gives.
        members: At least one, with a weight for every stem among them.
    """

    def __init__(self, network: EnsembleNetwork, members: Sequence[EnsembleMember]) -> None:
        self.network = network
        self.members = _scaled(members)
        self.device = self.members[0].engine.device
        self.in_flight = max(member.engine.in_flight for member in self.members)


def _scaled(members: Sequence[EnsembleMember]) -> tuple[EnsembleMember, ...]:
    """Return the members with weights whose largest for each stem is 1; float32 would lose tiny ones."""
    largest: dict[str, float] = {}
    for member in members:
        for stem, weight in member.weights.items():
            largest[stem] = max(weight, largest.get(stem, 0.0))
    return tuple(
        EnsembleMember(
            member.engine,
            {stem: weight / largest[stem] for stem, weight in member.weights.items() if weight},
        )
        for member in members
    )


class EnsembleSeparator(StreamSeparator):
    """Runs the models of an ensemble side by side on one stream.

    Args:
        engine: The loaded models.
        separators: One for each member, which this one closes.
    """

    def __init__(self, engine: EnsembleEngine, separators: Sequence[StreamSeparator]) -> None:
        self.engine: EnsembleEngine = engine
        self._separators = separators

    @property
    def moment_rates(self) -> frozenset[int]:
        """Return the rates at which a member needs the stream's moments before it is separated."""
        return frozenset().union(*(separator.moment_rates for separator in self._separators))

    def close(self) -> None:
        """End the threads of all members."""
        for separator in self._separators:
            separator.close()

    def separate(
        self,
        blocks: Iterable[Block],
        *,
        instruments: Sequence[str] | None = None,
        timer: StageTimer | None = None,
        moments: Mapping[int, Moments] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Generator[Mapping[str, Block]]:
        """Separate a stream, piece by piece; see `StreamSeparator.separate`.

        A member that has no weight for any of the stems that are needed does not run.
        """
        network = self.engine.network
        wanted = self._wanted(instruments)
        needed = {stem for name in wanted for stem in network.mix_less.get(name, (name,))}
        used = [
            (
                separator,
                {stem: weight for stem, weight in member.weights.items() if stem in needed},
            )
            for separator, member in zip(self._separators, self.engine.members, strict=True)
        ]
        used = [(separator, weights) for separator, weights in used if weights]
        *feeds, mix_feed = tee(blocks, len(used) + 1)
        mix = PieceBuffer({"": block} for block in mix_feed)
        with ExitStack() as running:
            buffers = []
            for feed, (separator, weights) in zip(feeds, used, strict=True):
                pieces = separator.separate(
                    feed, instruments=tuple(weights), timer=timer, moments=moments, cancelled=cancelled
                )
                running.callback(pieces.close)
                buffers.append(PieceBuffer(pieces))
            weighted = [(buffer, weights) for buffer, (_, weights) in zip(buffers, used, strict=True)]
            # The member that is behind goes on, so that the others wait with a segment or two at most.
            while min(buffers, key=lambda buffer: buffer.reached).advance():
                count = min(buffer.waiting for buffer in buffers)
                if count:
                    yield self._piece(weighted, mix, count, wanted)

    def _piece(
        self,
        buffers: Sequence[tuple[PieceBuffer, Mapping[str, float]]],
        mix: PieceBuffer,
        count: int,
        wanted: Sequence[str],
    ) -> Mapping[str, Block]:
        """Return the next samples of the wanted stems."""
        network = self.engine.network
        sums: dict[str, Block] = {}
        totals: dict[str, float] = {}
        for buffer, weights in buffers:
            for stem, samples in buffer.take(count).items():
                added = samples * np.float32(weights[stem])
                sums[stem] = sums[stem] + added if stem in sums else added
                totals[stem] = totals.get(stem, 0.0) + weights[stem]
        averages = {stem: total / np.float32(totals[stem]) for stem, total in sums.items()}
        whole = mix.take(count)[""]
        piece = {}
        for name in wanted:
            if name in network.mix_less:
                piece[name] = whole - np.sum([averages[stem] for stem in network.mix_less[name]], axis=0)
            else:
                piece[name] = averages[name]
        return piece
