"""`stemline models`: manage the weights on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemline.cli.group import Group
from stemline.cli.output import Column, as_json, is_live, print_json, print_table, screen

if TYPE_CHECKING:
    from rich.console import Console

    from stemline.models.catalogue import Model
    from stemline.models.weights import WeightStore

_DIRECTORY = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model directory; by default STEMLINE_MODELS_DIR or ~/.cache/stemline/models.",
)


@click.group(name="models", cls=Group)
def models() -> None:
    """Fetch, list, verify and bundle the weights of the models."""


@models.command()
@click.argument("names", nargs=-1)
@click.option("--from", "source", help="A folder, bundle or archive: its path, or its http, https or s3 URL.")
@_DIRECTORY
@as_json
def pull(names: tuple[str, ...], source: str | None, directory: Path | None, *, as_json: bool) -> None:
    """Fetch, verify and install weights.

    NAMES are names of models, by default 2stems.
    """
    console = screen(stderr=True)
    with _separation_errors():
        store = _store(directory)
        for model in _models_named(names or ("2stems",)):
            folder = fetch_with_bar(console, store, model, source=source)
            if as_json:
                print_json({"name": model.name, "folder": folder})
            else:
                print(folder)


def fetch_with_bar(console: Console, store: WeightStore, model: Model, *, source: str | None = None) -> Path:
    """Fetch the weights of a model with a progress bar, and return their folder.

    Raises:
        SeparationError: no source has them.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from stemline.models.download import pull as fetch

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not is_live()) as bar:
        task = bar.add_task(model.name, total=None)
        return fetch(
            store,
            model,
            source=source,
            progress=lambda have, size: bar.update(task, completed=have, total=size),
            waiting=lambda: console.print(f"Another process is fetching {model.name}; waiting for it ..."),
        )


@models.command(name="list")
@_DIRECTORY
@as_json
def list_(directory: Path | None, *, as_json: bool) -> None:
    """List the models and whether their weights are here."""
    from stemline.models.catalogue import MODELS

    store = _store(directory)
    if as_json:
        for model in MODELS.values():
            print_json({"name": model.name, "here": store.has(model), "stems": model.instruments})
        return
    rows = [
        (model.name, "here" if store.has(model) else "not here", ", ".join(model.instruments))
        for model in MODELS.values()
    ]
    print_table((Column("Model", is_id=True), Column("Weights"), Column("Stems")), rows)


@models.command()
@click.argument("names", nargs=-1)
@_DIRECTORY
@as_json
def verify(names: tuple[str, ...], directory: Path | None, *, as_json: bool) -> None:
    """Compare weights with their checksums.

    NAMES are names of models, by default all whose weights are on this machine.
    """
    from stemline.models.catalogue import MODELS

    store = _store(directory)
    present = tuple(name for name, model in MODELS.items() if store.has(model))
    if not names and not present:
        raise click.ClickException(f"there are no weights in {store.directory}")
    with _separation_errors():
        for model in _models_named(names or present):
            folder = store.verified(model)
            if as_json:
                print_json({"name": model.name, "folder": folder, "as_published": True})
            else:
                print(f"{folder}: as published")


@models.command()
@click.argument("names", nargs=-1)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.",
)
@_DIRECTORY
@as_json
def bundle(names: tuple[str, ...], output: Path, directory: Path | None, *, as_json: bool) -> None:
    """Write weights to one file, for a machine without network.

    NAMES are names of models, by default 2stems. On that machine,
    `stemline models pull NAMES --from FILE` installs them.
    """
    from stemline.models.archive import pack

    with _separation_errors():
        store = _store(directory)
        folders = [(model, store.verified(model)) for model in _models_named(names or ("2stems",))]
        with output.open("wb") as file:
            pack(folders, file)
    if as_json:
        print_json({"file": output, "names": [model.name for model, _ in folders]})
    else:
        print(output)


@models.command()
@_DIRECTORY
@as_json
def where(directory: Path | None, *, as_json: bool) -> None:
    """Print the model directory."""
    folder = _store(directory).directory
    if as_json:
        print_json({"directory": folder})
    else:
        print(folder)


def _store(directory: Path | None) -> WeightStore:
    from stemline.models.weights import WeightStore

    return WeightStore(directory)


def _models_named(names: tuple[str, ...]) -> list[Model]:
    from stemline.models.catalogue import model_named

    return [model_named(name) for name in names]


@contextmanager
def _separation_errors() -> Iterator[None]:
    """Report errors of the separator in one line with their kind."""
    from stemline.separation.errors import SeparationError

    try:
        yield
    except SeparationError as error:
        raise click.ClickException(f"{error.message} ({type(error).__name__})") from error
