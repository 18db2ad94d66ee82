"""`stemline models`: the weights on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="models")
def models() -> None:
    """Fetch, list and verify the weights of the models."""


@models.command()
@click.argument("names", nargs=-1)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="Model directory.")
def pull(names: tuple[str, ...], directory: Path | None) -> None:
    """Fetch the weights of NAMES (2stems by default), verify and install them."""
    from separation.catalogue import model_named
    from separation.download import pull as fetch
    from separation.errors import SeparationError
    from separation.weights import WeightStore

    store = WeightStore(directory)
    for name in names or ("2stems",):
        try:
            print(fetch(store, model_named(name)))
        except SeparationError as error:
            raise click.ClickException(f"{error.message} ({error.code})") from error
