"""What a bare ``stemline`` says: what to do first."""

from __future__ import annotations

import click

from stemline.cli.program import program


def first_steps() -> str:
    """Return a few lines that fit the situation: whether a service is known already."""
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
    width = max(map(len, commands)) + 2
    lines = [f"  {command:<{width}}{what}" for command, (_, what) in zip(commands, steps, strict=False)]
    title = click.style("Stemline separates voice and background.", bold=True)
    return "\n".join([title, "", where, *lines, "", f"All commands: {commands[-1]}"])
