"""`stemline models`: manage the weights on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.examples import examples
from stemline.cli.exits import CommandFailed
from stemline.cli.group import Group
from stemline.cli.model_download import fetch_with_bar
from stemline.cli.model_exports import export
from stemline.cli.output import as_json, print_json, print_result, print_table, screen
from stemline.cli.separator_errors import separator_errors
from stemline.cli.statuses import NOT_FOUND
from stemline.cli.tables import Column
from stemline.cli.words import INPUT_PATH, SOURCE

if TYPE_CHECKING:
    from stemline.models.published import Published
    from stemline.models.weights import WeightStore

_DIRECTORY = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model directory; by default STEMLINE_MODELS_DIR or ~/.cache/stemline/models.",
)


class _Models(Group):
    """The commands, whose errors are reported in one line with their kind."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with separator_errors():
            return super().invoke(ctx)


@click.group(name="models", cls=_Models)
def models() -> None:
    """Fetch, list, verify and bundle the weights of the models."""


@models.command(**examples("stemline models pull", "stemline models pull 2stems 4stems --from weights.tar"))
@click.argument("names", nargs=-1)
@click.option(
    "--from",
    "source",
    type=SOURCE,
    help="A folder, bundle or archive: its path, or its http, https or s3 URL.",
)
@click.option(
    "--mirror",
    envvar="STEMLINE_MODELS_MIRROR",
    help="A mirror of the official archives: its http, https or s3 URL; else STEMLINE_MODELS_MIRROR.",
)
@_DIRECTORY
@as_json
def pull(
    names: tuple[str, ...], source: str | None, mirror: str | None, directory: Path | None, *, as_json: bool
) -> None:
    """Fetch, verify and install weights.

    NAMES are names of models, by default 2stems. Networks of your own are installed from a bundle, which
    --from names.
    """
    from stemline.models.bundled import install
    from stemline.models.catalogue import MODELS

    console = screen(stderr=True)
    store = _store(directory)
    for name in names or ("2stems",):
        if name in MODELS:
            folder = fetch_with_bar(console, store, MODELS[name], source=source, mirror=mirror)
        else:
            folder = install(store, name, source)
        print_result(folder, as_json=as_json, name=name, folder=folder)


@models.command(name="list", **examples("stemline models list"))
@_DIRECTORY
@as_json
def list_(directory: Path | None, *, as_json: bool) -> None:
    """List the models and whether their weights are here."""
    from stemline.models.library import cards, is_here

    store = _store(directory)
    found = [(card, is_here(card, store)) for card in cards(store).values()]
    if as_json:
        for card, here in found:
            about = {"kind": str(card.kind), "modes": card.modes(), "licence": card.licence}
            print_json({"name": card.name, "here": here, "stems": card.all_stems, **about})
        return
    rows = [
        (card.name, "here" if here else "not here", card.kind, ", ".join(card.all_stems), card.licence)
        for card, here in found
    ]
    columns = (Column("Weights"), Column("Kind"), Column("Stems"), Column("Licence"))
    print_table((Column("Model", is_id=True), *columns), rows)


@models.command(**examples("stemline models show 2stems"))
@click.argument("name")
@click.option("--speed", "with_speed", is_flag=True, help="Ask the job store how fast the model's jobs ran.")
@_DIRECTORY
@as_json
def show(name: str, directory: Path | None, *, with_speed: bool, as_json: bool) -> None:
    """Show the card of a model, and the limits of its jobs.

    --speed adds how many seconds of audio its jobs separated in a second: the jobs of all buckets that name
    the model or, by these settings, a mode that it answers.
    """
    from dataclasses import asdict

    from stemline.cli.model_speed import speed_of
    from stemline.models.card_file import card_text
    from stemline.models.library import card_named
    from stemline.runtime.settings import Settings
    from stemline.workers.time_limits import time_limit_s

    card = card_named(name, _store(directory))
    workers = Settings().workers
    most, limit_s = workers.model_limits.get(name), time_limit_s(workers, name)
    speed = speed_of(name) if with_speed else None
    if as_json:
        values = {**asdict(card), "jobs_at_once": most, "time_limit_s": limit_s}
        if speed is not None:
            values |= {"real_time_factor": speed.real_time_factor, "audio_s": speed.audio_s}
        print_json(values)
    else:
        click.echo(card_text(card), nl=False)
        at_once = most or "as many as there are workers"
        click.echo(f"# Jobs at once: {at_once}. Time limit of an attempt: {limit_s:g} s.")
        if speed is not None:
            click.echo(f"# {speed}")


@models.command(**examples("stemline models add htdemucs.onnx --card htdemucs.toml"))
@click.argument("file", required=False, type=INPUT_PATH)
@click.option(
    "--card",
    "card_path",
    required=True,
    type=INPUT_PATH,
    help="Its card, TOML.",
)
@click.option("--replace", "replace_it", is_flag=True, help="Replace a model of the same name.")
@_DIRECTORY
@as_json
def add(
    file: Path | None, card_path: Path, directory: Path | None, *, replace_it: bool, as_json: bool
) -> None:
    """Add a network of your own.

    FILE is an ONNX file, and the card says what it computes (docs/models.md). An ensemble has only a card.
    """
    from stemline.models.installation import add as install

    store = _store(directory)
    card = install(store, card_path, file, replace_it=replace_it)
    print_result(
        store.folder(card), as_json=as_json, name=card.name, folder=store.folder(card), sha256=card.sha256
    )


@models.command(**examples("stemline models remove htdemucs"))
@click.argument("name")
@_DIRECTORY
@as_json
def remove(name: str, directory: Path | None, *, as_json: bool) -> None:
    """Remove a network that was added."""
    from stemline.models.installation import remove as delete

    folder = delete(_store(directory), name)
    print_result(folder, as_json=as_json, name=name, folder=folder)


@models.command(**examples("stemline models verify"))
@click.argument("names", nargs=-1)
@_DIRECTORY
@as_json
def verify(names: tuple[str, ...], directory: Path | None, *, as_json: bool) -> None:
    """Compare weights with their checksums.

    NAMES are names of models, by default all whose weights are on this machine.
    """
    from stemline.models.catalogue import MODELS
    from stemline.models.library import card_named, is_here, read_cards, verified

    store = _store(directory)
    found, wrong = read_cards(store)
    # The error of a wrong card ends the command, after the sound models.
    present = (*(name for name, card in found.items() if is_here(card, store)), *wrong)
    if not names and not present:
        raise CommandFailed(
            f"there are no weights in {store.directory}",
            hint="`stemline models pull` fetches them",
            status=NOT_FOUND,
        )
    for name in names or present:
        folder = verified(card_named(name, store), store)
        what = "as published" if name in MODELS else "as its card says"
        print_result(f"{folder}: {what}", as_json=as_json, name=name, folder=folder, as_published=True)


@models.command(**examples("stemline models bundle 2stems 4stems -o weights.tar"))
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
    from stemline.cli.whole_files import whole_file
    from stemline.models.archive import pack

    store = _store(directory)
    folders = [(model, store.verified(model)) for model in _published_named(names or ("2stems",), store)]
    with whole_file(output, "wb") as file:
        pack(folders, file)
    print_result(output, as_json=as_json, file=output, names=[model.name for model, _ in folders])


@models.command(**examples("stemline models cost 2stems"))
@click.argument("names", nargs=-1, required=True)
@_DIRECTORY
@as_json
def cost(names: tuple[str, ...], directory: Path | None, *, as_json: bool) -> None:
    """Count the operations of networks, by which they can be compared.

    NAMES are names of models. Each network runs once, and its convolutions, products and recurrent layers are
    counted.
    """
    from stemline.models.cost import cost_of
    from stemline.models.library import card_named

    store = _store(directory)
    costs = {name: cost_of(card_named(name, store), store) for name in names}
    if as_json:
        for name, each in costs.items():
            print_json({"name": name, "operations": each.operations, "segment_s": each.segment_s})
        return
    rows = [
        (name, f"{each.operations / 1e9:.1f}", f"{each.segment_s:.2f}", f"{each.per_second / 1e9:.1f}")
        for name, each in costs.items()
    ]
    columns = (Column("GFLOP a segment"), Column("segment, s"), Column("GFLOP a second of audio"))
    print_table((Column("Model", is_id=True), *columns), rows)


@models.command(**examples("stemline models where"))
@_DIRECTORY
@as_json
def where(directory: Path | None, *, as_json: bool) -> None:
    """Print the model directory."""
    folder = _store(directory).directory
    print_result(folder, as_json=as_json, directory=folder)


models.add_command(export)


def _store(directory: Path | None) -> WeightStore:
    from stemline.models.weights import WeightStore

    return WeightStore(directory)


def _published_named(names: tuple[str, ...], store: WeightStore) -> list[Published]:
    from stemline.models.library import card_named, published

    return [published(card_named(name, store)) for name in names]
