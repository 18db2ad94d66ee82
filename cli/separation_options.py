"""The options that say what a separation makes, of jobs and of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

_F = TypeVar("_F", bound=Callable[..., Any])
_ONLY: Final = {"voice": "IsAudio", "background": "IsBackground"}
_NAMES: Final = ("stems", "model", "only", "codec", "bitrate", "samplerate", "channels", "bit_depth")
_OPTIONS = (
    click.option(
        "--stems", type=click.Choice(["2", "4"]), default="2", show_default=True, help="Stems to make."
    ),
    click.option("--model", default="", help="Model to use, where the service lets you choose."),
    click.option("--only", type=click.Choice(list(_ONLY)), help="Make only this stem."),
    click.option(
        "--codec",
        type=click.Choice(["wav", "mp3", "flac", "aac", "amr"]),
        default="wav",
        show_default=True,
        help="Codec of the stems; 4 stems are wav, mp3 or aac.",
    ),
    click.option("--bitrate", type=int, help="kbit/s, for 2 stems as mp3, aac or amr."),
    click.option("--samplerate", type=int, help="Hz, for 2 stems; 44100 by default."),
    click.option("--channels", type=int, help="Channels, for 2 stems; by default as the source."),
    click.option("--bit-depth", type=click.Choice(["16", "24", "32"]), help="Bits of a sample: wav, flac."),
)


def separation_options(command: _F) -> _F:
    """Add the options; :func:`parameters_of` turns them into parameters of the client."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parameters_of(options: Mapping[str, Any], *, template: str | None = None) -> dict[str, Any]:
    """Return parameters of :class:`stemline.client.Submission`.

    Args:
        options: As click gives them to the command that runs.
        template: Template that the user names.

    Raises:
        click.UsageError: An option would have no effect beside the others.
    """
    parameters = _parameters(options)
    _check_effect(parameters, template or "")
    return parameters


def _check_effect(parameters: Mapping[str, Any], template: str) -> None:
    """Refuse options that the service would ignore.

    Raises:
        click.UsageError: There is one.
    """
    from stemline.client import Submission

    context = click.get_current_context()
    given = [name for name in _NAMES if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if template:
        without = dict.fromkeys(given, "with --template, which says all about the stems")
    elif {"stems", "only"} <= set(given):
        without = {"stems": "with --only"}
    else:
        without = Submission("", **parameters).without_effect()
    for name, why in without.items():
        raise click.UsageError(f"--{name.replace('_', '-')} has no effect {why}")


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
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
