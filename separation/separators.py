"""Opens what separates a stream with an engine, by the kind of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import cast

from stemline.separation.engine import Engine, LoadedEngine
from stemline.separation.ensemble import EnsembleEngine, EnsembleSeparator
from stemline.separation.errors import Cancelled, NonFiniteAudio
from stemline.separation.extension import Extension
from stemline.separation.moments import Moments
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
        return SegmentSeparator(engine, level=level)
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
) -> Moments | None:
    """Return the moments of a source, where they have to be known before it is separated.

    Raises:
        Cancelled: `cancelled` returned True.
        SeparationError: The source cannot be decoded.
    """
    if not separator.needs_moments:
        return None
    moments = Moments()
    with open_source() as audio:
        for block in audio:
            if cancelled is not None and cancelled():
                raise Cancelled
            moments = moments.after(block.T, moments.count, moments.count + len(block))
    if not (moments.squares < float("inf")):
        raise NonFiniteAudio
    return moments
