"""Orders of channels that are a file's own."""

from __future__ import annotations

from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout


def take_order(context: AudioCodecContext) -> tuple[str, ...]:
    """Return the names of a decoder's channels, and leave it no order that FFmpeg keeps in memory of its own.

    PyAV 18.1 frees such an order (of 7.1 in mov, caf and aiff, where the sides come before the back) with
    every object that shows it, though decoder and frames still hold it. So the decoder keeps the number of
    channels alone, and its frames get the names that are returned here.
    """
    layout = context.layout
    names = channel_names(layout)
    if names and has_no_name(layout):
        context.layout = f"{len(names)} channels"  # from now on `layout` alone holds the order
    return names


def channel_names(layout: AudioLayout) -> tuple[str, ...]:
    """Return FFmpeg's names of the channels, such as FL and LFE."""
    return tuple(channel.name for channel in layout.channels)


def has_no_name(layout: AudioLayout) -> bool:
    """Return whether the order is none of those that FFmpeg has a name for."""
    return layout.name.startswith(f"{layout.nb_channels} channels")
