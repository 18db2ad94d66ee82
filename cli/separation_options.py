"""The options that say what a separation makes, of jobs and of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
_ONLY: Final = {"voice": "IsAudio", "background": "IsBackground"}
_OPTIONS = (
    click.option(
        "--stems", type=click.Choice(["2", "4"]), default="2", show_default=True, help="Stems to make."
    ),
    click.option("--model", default="", help="Model that separates, where the service lets you choose."),
    click.option("--only", type=click.Choice(list(_ONLY)), help="Make this stem alone."),
    click.option(
        "--codec",
        type=click.Choice(["wav", "mp3", "flac", "aac", "amr"]),
        default="wav",
        show_default=True,
        help="Codec of the stems; 4 stems are wav, mp3 or aac.",
    ),
    click.option("--bitrate", type=int, help="kbit/s, for mp3 and aac."),
    click.option("--samplerate", type=int, help="Hz; by default as the source."),
    click.option("--channels", type=int, help="Channels; by default as the source."),
    click.option("--bit-depth", type=click.Choice(["16", "24", "32"]), help="Bits of a sample: wav, flac."),
)


def separation_options(command: _F) -> _F:
    """Add the options; :func:`parameters_of` turns them into parameters of the client."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parameters_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of :class:`stemline.client.Submission`."""
    return {
        "stems": int(options["stems"]),
        "mode": _ONLY.get(options["only"] or "", ""),
        "model": options["model"],
        "codec": options["codec"],
        "bitrate": options["bitrate"],
        "samplerate": options["samplerate"],
        "channels": options["channels"],
        "bit_depth": int(options["bit_depth"]) if options["bit_depth"] else None,
    }
