"""`stemline models export`: networks from checkpoints of other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from stemline.cli.examples import examples
from stemline.cli.group import Group
from stemline.cli.output import as_json, print_result
from stemline.cli.words import INPUT_PATH

_CHECKPOINT = click.argument("checkpoint", type=INPUT_PATH)
_OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
_LICENCE = click.option("--licence", required=True, help="Terms of the weights, for the card.")
_SOURCE = click.option("--source", required=True, help="Where the weights are from, for the card.")


@click.group(cls=Group)
def export() -> None:
    """Turn checkpoints of other programs into networks with cards."""


@export.command(
    **examples(
        "stemline models export demucs 955717e8.safetensors -o exported --licence MIT --source https://example.com/"
    )
)
@_CHECKPOINT
@_OUTPUT
@click.option("--name", default="htdemucs", show_default=True, help="Name of the model.")
@_LICENCE
@_SOURCE
@click.option("--python", default=sys.executable, help="A Python that has torch, demucs and onnx.")
@click.option(
    "--trust", is_flag=True, help="Let the checkpoint run code of its own: only if you know its source."
)
@as_json
def demucs(
    checkpoint: Path,
    output: Path,
    *,
    name: str,
    licence: str,
    source: str,
    python: str,
    trust: bool,
    as_json: bool,
) -> None:
    """Export a Hybrid Transformer Demucs: NAME.onnx and NAME.toml, for `stemline models add`.

    CHECKPOINT is a .safetensors or .th file as Demucs downloads it.
    """
    from stemline.models.exporting import export_demucs

    with _card_errors():
        file, card = export_demucs(
            checkpoint, output, name=name, licence=licence, source=source, python=python, trust=trust
        )
    print_result(file, card, as_json=as_json, name=name, file=file, card=card)


@export.command(
    **examples(
        "stemline models export roformer model.ckpt --config model.yaml -o exported --licence MIT --source https://example.com/"
    )
)
@_CHECKPOINT
@click.option("--config", required=True, type=INPUT_PATH, help="Its YAML file.")
@_OUTPUT
@click.option("--name", default="roformer", show_default=True, help="Name of the model.")
@_LICENCE
@_SOURCE
@click.option("--python", default=sys.executable, help="A Python that has torch, audio-separator and onnx.")
@as_json
def roformer(checkpoint: Path, output: Path, *, name: str, as_json: bool, **options: Any) -> None:
    """Export a Band-Split or Mel-Band RoFormer: NAME.onnx and NAME.toml, for `stemline models add`.

    CHECKPOINT is a .ckpt or .pt file of weights alone.
    """
    from stemline.models.exporting import export_roformer

    with _card_errors():
        file, card = export_roformer(checkpoint, folder=output, name=name, **options)
    print_result(file, card, as_json=as_json, name=name, file=file, card=card)


@contextmanager
def _card_errors() -> Iterator[None]:
    """Report a value that no card may hold as a wrong option."""
    from stemline.models.card_tables import FieldError

    try:
        yield
    except FieldError as error:
        raise click.UsageError(f"{'.'.join(map(str, error.path))}: {error}") from error
