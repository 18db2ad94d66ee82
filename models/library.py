"""The models that can be run: those that are built in, and those whose cards were added."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stemline.models.card import CARD_FILE, NAME, Card, Kind
from stemline.models.card_file import card_text, read_card
from stemline.models.card_tables import CHANNELS, FieldError
from stemline.models.catalogue import BUILT_IN, MODELS
from stemline.models.published import Published
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
from stemline.separation.logs import get_logger

log = get_logger(__name__)


def card_named(name: str, store: WeightStore) -> Card:
    """Return the card of a model.

    Raises:
        ModelUnknown: There is no such model.
        CardError: Its card is wrong.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = store.directory / name / CARD_FILE
    if not NAME.fullmatch(name) or not path.is_file():
        known = ", ".join([*BUILT_IN, *_added_names(store)])
        raise ModelUnknown(f"There is no model {name!r}; there are {known}.")
    card = read_card(path)
    if card.name != name:
        raise CardError(f"{path}: the card is that of {card.name!r}, and its folder is named {name!r}.")
    if card.format != "onnx":
        raise CardError(f"{path}: the format {card.format} is that of built-in models.")
    if card.kind is not Kind.ENSEMBLE and not card.file:
        raise CardError(f"{path} names no `file`; `stemline models add` writes it.")
    return card


def is_here(card: Card, store: WeightStore) -> bool:
    """Return whether the files of a model, and of an ensemble's members, are there; they are not compared."""
    try:
        return all(store.has(published(each)) for each in (card, *members(card, store)))
    except (CardError, OptionError):
        return False


def verified(card: Card, store: WeightStore) -> Path:
    """Return the folder of a model after verifying its files, of an ensemble those of its members too.

    Raises:
        OptionError: A member is missing.
        WeightsError: A file is missing or does not match its checksum, or a member's card is wrong.
    """
    for each in members(card, store):
        store.verified(published(each))
    return store.verified(published(card))


def members(card: Card, store: WeightStore) -> list[Card]:
    """Return the cards of an ensemble's members.

    Raises:
        OptionError: One of them is missing.
        CardError: The card of one is wrong, it is an ensemble itself, or has not the stems that are averaged.
    """
    found = [card_named(member.model, store) for member in card.members]
    for other in found:
        _check_member(card, other)
    return found


def cards(store: WeightStore) -> Mapping[str, Card]:
    """Return all cards by name; one that is wrong is left out and logged."""
    found, wrong = read_cards(store)
    for name, reason in wrong.items():
        log.warning("card.ignored", model=name, reason=reason)
    return found


def read_cards(store: WeightStore) -> tuple[Mapping[str, Card], Mapping[str, str]]:
    """Return all cards by name, and by name what is wrong with the others."""
    found, wrong = dict(BUILT_IN), {}
    for name in _added_names(store):
        try:
            found[name] = card_named(name, store)
        except (CardError, OptionError) as error:
            wrong[name] = error.message
    return found, wrong


def published(card: Card) -> Published:
    """Return the files that have to be there for a model."""
    return MODELS[card.name] if card.format == "spleeter" else card


def fingerprint(card: Card, store: WeightStore) -> str:
    """Return what tells a model from another of the same name; empty for a built-in one.

    Raises:
        OptionError: A member of the ensemble is missing.
        CardError: The card of a member is wrong, or does not fit the ensemble.
    """
    if card.format == "spleeter":
        return ""
    texts = "".join(card_text(each) for each in (card, *members(card, store)))
    return hashlib.sha256(texts.encode()).hexdigest()


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
            _check_member(other, card)
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
        OptionError: There is none, or it is built in.
    """
    if name in BUILT_IN or name not in _added_names(store):
        raise ModelUnknown(f"There is no added model {name!r}.")
    folder = store.directory / name
    delete_folder(folder)
    return folder


def _added_names(store: WeightStore) -> list[str]:
    found = store.directory.glob(f"[!.]*/{CARD_FILE}")
    return sorted(path.parent.name for path in found if path.parent.name not in BUILT_IN and path.is_file())


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


def _check_member(card: Card, other: Card) -> None:
    """Compare an ensemble with the card of one of its members.

    Raises:
        CardError: The member does not fit.
    """
    if other.kind is Kind.ENSEMBLE:
        raise CardError(f"{other.name} is an ensemble itself, and cannot be a member of {card.name}.")
    for member in card.members:
        if member.model != other.name:
            continue
        if missing := [stem for stem in card.stems if member.weight(stem) and stem not in other.all_stems]:
            raise CardError(
                f"{other.name} has no stem {', '.join(missing)}, which {card.name} takes from it."
            )
