"""The models that can be run: those that are built in, and those whose cards were added."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stemline.models.card import CARD_FILE, NAME, Card, Kind
from stemline.models.card_file import card_text, read_card
from stemline.models.catalogue import BUILT_IN, MODELS
from stemline.models.published import Published
from stemline.models.weights import WeightStore
from stemline.separation.errors import (
    CardError,
    ModelUnknown,
    OptionError,
)
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
        known = ", ".join([*BUILT_IN, *added_names(store)])
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
        check_member(card, other)
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
    for name in added_names(store):
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


def added_names(store: WeightStore) -> list[str]:
    """Return the names of the models that were added."""
    found = store.directory.glob(f"[!.]*/{CARD_FILE}")
    return sorted(path.parent.name for path in found if path.parent.name not in BUILT_IN and path.is_file())


def check_member(card: Card, other: Card) -> None:
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
