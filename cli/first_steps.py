"""What a bare ``stemline`` says: what to do first."""

from __future__ import annotations

import textwrap

import click

from stemline.cli.program import program


def first_steps(width: int) -> str:
    """Return a few lines that fit the situation: whether a service is known already.

    Args:
        width: Of the terminal, letters. No word is broken; what a command does is below it if there is no
            room beside it.
    """
    from stemline.client.errors import NotConfigured
    from stemline.client.target import find

    try:
        target = find()
    except NotConfigured:
        where = "No service is known yet. Start one on this machine, or store how to reach another one:"
        steps = [
            ("up", "run the whole service here, until Ctrl-C"),
            ("login", "use a service that runs elsewhere"),
            ("separate song.mp3 -o stems", "separate one file without any service"),
        ]
    else:
        where = f"Commands use {target.origin}: {target.api}"
        steps = [
            ("submit song.mp3 -o stems", "separate a file"),
            ("submit FOLDER -o stems", "separate thousands; run it again to go on"),
            ("jobs", "see what waits, runs and has ended"),
            ("doctor", "check the installation"),
        ]
    name = program()
    commands = [f"{name} {words}" for words, _ in [*steps, ("--help", "")]]
    column = max(map(len, commands)) + 4
    pairs = [(f"  {command}", what) for command, (_, what) in zip(commands, steps, strict=False)]
    if all(column + len(what) <= width for _, what in pairs):
        lines = [f"{command:<{column}}{what}" for command, what in pairs]
    else:
        lines = [
            line
            for command, what in pairs
            for line in (*_command(command, width), *_filled(f"      {what}", width, "      "))
        ]
    title = click.style("Stemline separates voice and background.", bold=True)
    end = [f"All commands: {commands[-1]}"]
    if len(end[0]) > width:
        end = ["All commands:", *_command(f"  {commands[-1]}", width)]
    return "\n".join([title, "", *_filled(where, width), *lines, "", *end])


def _command(text: str, width: int) -> list[str]:
    """Return the lines of a command, which the shell takes for one."""
    *lines, last = _filled(text, width - 2, "    ")
    return [*(f"{line} \\" for line in lines), last]


def _filled(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text; only a word that is wider than the terminal is wider than it."""
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
