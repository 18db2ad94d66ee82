"""Adding models from their cards and files, and removing them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stemline.models.card import CARD_FILE, Card, Kind
from stemline.models.card_file import card_text, read_card
from stemline.models.card_tables import CHANNELS, FieldError
from stemline.models.catalogue import BUILT_IN
from stemline.models.library import added_names, cards, check_member, members
from stemline.models.weights import WeightStore, delete_folder, sha256
from stemline.separation.cpus import available_cpus
from stemline.separation.errors import (
    Cancelled,
    CardError,
    DeviceError,
    ModelUnknown,
    OptionError,
    WeightsCorrupt,
    WeightsMissing,
)
from stemline.separation.interruption import tried


def add(store: WeightStore, card_path: Path, file: Path | None, *, replace_it: bool = False) -> Card:
    """Install a model from its card and its file.

    Args:
        store: Where to install it.
        card_path: The card.
        file: The network; None for an ensemble.
        replace_it: Whether a model of that name is replaced.

    Returns:
        The card that was installed, with the name, size and checksum of the file.

    Raises:
        CardError: The card is wrong, or does not fit the file, or an ensemble that averages its stems.
        OptionError: There is such a model.
        WeightsMissing: The file, or a member of the ensemble, is missing.
        WeightsCorrupt: The file does not have the checksum of the card.
    """
    card = read_card(card_path)
    if card.format != "onnx":
        raise CardError(f"{card_path}: the format {card.format} is that of built-in models.")
    if card.name in BUILT_IN:
        raise OptionError(f"{card.name} is the name of a built-in model.")
    _check_new(card, store, replace_it=replace_it)
    if card.kind is Kind.ENSEMBLE:
        if file is not None:
            raise CardError(f"{card_path}: an ensemble has no file of its own; it was given {file}.")
        members(card, store)
    else:
        card = _with_file(card, card_path, file)
    for other in cards(store).values():
        if any(member.model == card.name for member in other.members):
            check_member(other, card)
    if file is not None:
        _check_whole(card, file)
        _compare(card, card_path, file)
    store.directory.mkdir(parents=True, exist_ok=True)
    with store.lock(card), tempfile.TemporaryDirectory(dir=store.scratch()) as folder:
        _check_new(card, store, replace_it=replace_it)  # it can have been added meanwhile
        if file is not None:
            (Path(folder) / card.file).symlink_to(file.absolute())
        written = Path(folder) / CARD_FILE
        written.write_text(card_text(card))
        if read_card(written) != card:
            raise CardError(f"{card_path}: the card cannot be written so that it reads the same again.")
        store.install(card, Path(folder))
    return card


def remove(store: WeightStore, name: str) -> Path:
    """Remove an added model.

    Raises:
        ModelUnknown: There is none, or it is built in.
    """
    if name in BUILT_IN or name not in added_names(store):
        raise ModelUnknown(f"There is no added model {name!r}.")
    folder = store.directory / name
    delete_folder(folder)
    return folder


def _with_file(card: Card, card_path: Path, file: Path | None) -> Card:
    """Return the card with what is known of its file.

    Raises:
        WeightsMissing: There is no such file.
        WeightsCorrupt: It is not the file that the card describes.
    """
    if file is None or not file.is_file():
        raise WeightsMissing(f"The network of {card.name} is missing: {file or 'no file was given'}.")
    found, size = sha256(file), file.stat().st_size
    differs = [
        key for key, value in (("size", size), ("sha256", found)) if getattr(card, key) not in {None, value}
    ]
    if differs:
        raise WeightsCorrupt(
            f"{file} is not what {card_path} describes ({', '.join(differs)}): it has {size} bytes and"
            f" SHA-256 {found}."
        )
    try:
        return replace(card, file=card.file or file.name, sha256=found, size=size)
    except FieldError as error:
        raise CardError(f"{file} cannot be named {file.name} in a model's folder: `file` {error}.") from error


def _compare(card: Card, card_path: Path, file: Path) -> None:
    """Run a network, and name both files where it cannot be run or its card says something else.

    Raises:
        WeightsCorrupt: It is so.
    """
    try:
        _try_out(card, file)
    except WeightsCorrupt as error:
        raise WeightsCorrupt(f"{card_path} and {file}: {error.message}") from error


def _try_out(card: Card, file: Path) -> None:
    """Run a network on a segment of silence, on the CPU.

    Raises:
        WeightsCorrupt: It cannot be run, or is not what its card says.
    """
    from stemline.models.segment_loading import open_network  # noqa: PLC0415  # brings the engine

    network = open_network(card, file, device="cpu", threads=available_cpus(), songs=1, batch_wait_s=0)
    silence = np.zeros((CHANNELS, network.network.cutting.length), np.float32)
    try:
        stems = tried(lambda interruption: network.stems(silence, interruption=interruption))
    except (Cancelled, DeviceError) as error:
        raise WeightsCorrupt(f"The network of {card.name} cannot be run: {error.message}") from error
    if not np.isfinite(stems).all():
        raise WeightsCorrupt(f"The network of {card.name} turns silence into what is not a number.")


def _check_new(card: Card, store: WeightStore, *, replace_it: bool) -> None:
    if store.folder(card).exists() and not replace_it:
        raise OptionError(f"There is a model {card.name} already; --replace replaces it.")


def _check_whole(card: Card, file: Path) -> None:
    """Refuse a network whose weights are in other files, which would not be installed with it.

    Raises:
        WeightsCorrupt: It is such a network, or no ONNX file.
    """
    import onnx  # noqa: PLC0415  # slow to import
    from onnx.external_data_helper import uses_external_data  # noqa: PLC0415

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:
        raise WeightsCorrupt(f"{file} is no ONNX file: {error}") from error
    if any(map(uses_external_data, _tensors(model))):
        raise WeightsCorrupt(
            f"The network of {card.name} has weights in other files than {file.name}; save it as one file,"
            f" with onnx.save_model(onnx.load({str(file)!r}), 'one.onnx')."
        )


def _tensors(message: Any) -> Iterator[Any]:
    """Yield the constants of a network, wherever they are: in graphs and functions, dense and sparse."""
    from onnx import TensorProto  # noqa: PLC0415

    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(part)
