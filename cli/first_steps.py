"""What a bare ``stemline`` says: what to do first."""

from __future__ import annotations

import click


def first_steps() -> str:
    """Return a few lines that fit the situation: whether a service is known already."""
    from stemline.client.errors import NotConfigured
    from stemline.client.target import find

    try:
        target = find()
    except NotConfigured:
        where = "No service is known yet. Start one on this machine, or store how to reach another one:"
        steps = [
            ("stemline up", "run the whole service here, until Ctrl-C"),
            ("stemline login", "use a service that runs elsewhere"),
            ("stemline separate song.mp3 -o stems", "separate one file without any service"),
        ]
    else:
        where = f"Commands use {target.origin}: {target.api}"
        steps = [
            ("stemline submit song.mp3 -o stems", "separate a file"),
            ("stemline submit FOLDER -o stems", "separate thousands; run it again to go on"),
            ("stemline jobs", "see what waits, runs and has ended"),
            ("stemline doctor", "check the installation"),
        ]
    lines = [f"  {command:<37} {what}" for command, what in steps]
    return "\n".join(
        [click.style("Stemline separates voice and background.", bold=True), "", where, *lines, "", _MORE]
    )


_MORE = "All commands: stemline --help"
