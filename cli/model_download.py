"""Fetching the weights of a model, with a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stemline.cli.output import is_live

if TYPE_CHECKING:
    from rich.console import Console

    from stemline.models.catalogue import Model
    from stemline.models.weights import WeightStore


def fetch_with_bar(
    console: Console,
    store: WeightStore,
    model: Model,
    *,
    source: str | None = None,
    mirror: str | None = None,
) -> Path:
    """Fetch the weights of a model with a progress bar, and return their folder.

    Raises:
        SeparationError: No source has them.
    """
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    from stemline.cli.bars import Bars
    from stemline.models.download import pull as fetch

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True, disable=not is_live()) as bar:
        task = bar.add_task(model.name, total=None)
        return fetch(
            store,
            model,
            source=source,
            mirror=mirror,
            progress=lambda have, size: bar.update(task, completed=have, total=size),
            waiting=lambda: console.print(f"Another process is fetching {model.name}; waiting for it ..."),
        )
