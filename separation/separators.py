"""Opens what separates a stream with an engine, by the kind of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import cast

from stemline.separation.engine import Engine, LoadedEngine
from stemline.separation.ensemble import EnsembleEngine, EnsembleSeparator
from stemline.separation.errors import Cancelled, NonFiniteAudio
from stemline.separation.extension import Extension
from stemline.separation.media.resample import Resampler
from stemline.separation.moments import Moments
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.resampled import ResampledSeparator, ceiling
from stemline.separation.segment_engine import SegmentEngine
from stemline.separation.segment_separator import SegmentSeparator
from stemline.separation.separator import Separator
from stemline.separation.stream_separator import StreamSeparator
from stemline.separation.windows import Block


def open_separator(
    engine: LoadedEngine,
    *,
    extension: Extension = Extension.AVERAGE,
    context: int = 0,
    refine: bool = False,
    level: int = 0,
) -> StreamSeparator:
    """Return a separator; extension, context and refine are for Spleeter's networks, others have none."""
    if isinstance(engine, SegmentEngine):
        separator = SegmentSeparator(engine, level=level)
        return separator if engine.network.rate == SAMPLE_RATE else ResampledSeparator(separator)
    if isinstance(engine, EnsembleEngine):
        members = [
            open_separator(member.engine, extension=extension, context=context, refine=refine, level=level)
            for member in engine.members
        ]
        return EnsembleSeparator(engine, members)
    return Separator(cast("Engine", engine), extension=extension, context=context, refine=refine, level=level)


def runs_spleeter(engine: LoadedEngine) -> bool:
    """Return whether one of Spleeter's networks is run, for which extension, context and refine are."""
    if isinstance(engine, EnsembleEngine):
        return any(runs_spleeter(member.engine) for member in engine.members)
    return not isinstance(engine, SegmentEngine)


def measured(
    separator: StreamSeparator,
    open_source: Callable[[], AbstractContextManager[Iterable[Block]]],
    cancelled: Callable[[], bool] | None,
) -> Mapping[int, Moments] | None:
    """Return the moments of a source by sample rate, where they have to be known before it is separated.

    Raises:
        Cancelled: `cancelled` returned True.
        SeparationError: The source cannot be decoded.
    """
    if not separator.moment_rates:
        return None
    meters = [_MomentMeter(rate) for rate in separator.moment_rates]
    with open_source() as audio:
        for block in audio:
            if cancelled is not None and cancelled():
                raise Cancelled
            for meter in meters:
                meter.feed(block)
    moments = {meter.rate: meter.finish() for meter in meters}
    if not all(each.squares < float("inf") for each in moments.values()):
        raise NonFiniteAudio
    return moments


class _MomentMeter:
    """Measures the moments of a stream at another sample rate."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = Resampler(SAMPLE_RATE, rate)
        self._moments = Moments()

    def feed(self, block: Block) -> None:
        """Take the next samples of the stream, at 44,100 Hz."""
        self._add(self._resampler.feed(block))

    def finish(self) -> Moments:
        """Return the moments of all samples."""
        self._add(self._resampler.finish(ceiling(self._resampler.received, self.rate)))
        return self._moments

    def _add(self, block: Block) -> None:
        count = self._moments.count
        self._moments = self._moments.after(block.T, count, count + len(block))
