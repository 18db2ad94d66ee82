"""How many of several jobs have ended: a bar on a terminal, otherwise a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from stemline.cli.output import is_live, printable, screen


@contextmanager
def ended_bar(name: str, total: int, *, what: str = "jobs") -> Iterator[Callable[[int], None]]:
    """Show it for as long as the block runs, which calls what it gets with the number that have ended.

    Args:
        name: Name of the whole.
        total: How many there are.
        what: They are, in the plural.
    """
    if not is_live():
        shown = -1

        def say(ended: int) -> None:
            nonlocal shown
            if ended != shown:
                click.echo(f"{ended} of {total} {what} ended", err=True)
            shown = ended

        yield say
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from stemline.cli.bars import Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=screen(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(printable(name)), total=total)
        yield lambda ended: bar.update(task, completed=ended)
