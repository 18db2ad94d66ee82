"""Which models and modes a worker serves: those that are in its model directory, or may be fetched."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from pathlib import Path
from typing import Final

import structlog

from stemline.jobs.serving import MOST_SERVED, announced
from stemline.models.card import Card, Kind
from stemline.models.catalogue import BUILT_IN
from stemline.models.checksums import identity_of
from stemline.models.library import cards, members, published
from stemline.models.weights import WeightStore, verify_file
from stemline.runtime.errors import UnusableFolder
from stemline.runtime.settings.groups import EngineSettings
from stemline.separation.errors import CardError, OptionError, WeightsCorrupt, WeightsMissing
from stemline.workers.available_memory import total_memory
from stemline.workers.model_choice import USUAL

log = structlog.get_logger(__name__)

_MOST_BYTES: Final = MOST_SERVED * 64


def check_models(configured: Path | None) -> None:
    """Look into the model directory, as every process of the worker will; one that is not there is no fault.

    Raises:
        UnusableFolder: It cannot be read, or it is not known which one it is.
    """
    variable = "STEMLINE_MODELS_DIR"
    try:
        folder = WeightStore(configured).directory
    except WeightsMissing as error:
        raise UnusableFolder(variable, Path("~"), error.message) from error
    try:
        with os.scandir(folder):
            (folder / ".").stat()  # needs another right than the list of its files
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnusableFolder(variable, folder, error.strerror or str(error)) from error


class Serving:
    """What a worker serves, known in every process of a pool that forks after this was created.

    A file is compared with its checksum when it is first seen, when it has changed, and when weights could
    not be loaded.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._store = WeightStore(settings.models_dir)
        # Two places and which of them counts, without a lock: a process that is killed would keep it.
        self._names = [multiprocessing.RawArray(ctypes.c_char, _MOST_BYTES + 1) for _ in range(2)]
        self._latest = multiprocessing.RawValue(ctypes.c_int, 0)
        self._doubts = multiprocessing.RawValue(ctypes.c_uint, 0)
        self._doubts_seen = 0
        self._left_out: list[str] = []
        self._too_large: set[str] = set()
        self._sound: dict[tuple[Path, tuple[int, ...]], bool] = {}

    def refresh(self) -> tuple[str, ...]:
        """Look at the models again, and return what is served."""
        if (doubts := self._doubts.value) != self._doubts_seen:
            self._doubts_seen = doubts
            self._sound.clear()
        served = self._served()
        found = announced(served)
        self._report_left_out(sorted({*served} - {*found}))
        text = ",".join(found)
        if text != self._text():
            log.info("models.served", models=list(found))
            spare = 1 - self._latest.value
            self._names[spare].value = text.encode()
            self._latest.value = spare
        return found

    def get(self) -> tuple[str, ...]:
        """Return what was served at the last look."""
        text = self._text()
        return tuple(text.split(",")) if text else ()

    def doubt(self) -> None:
        """Have the next look compare every file: weights could not be loaded. Any process may call it."""
        self._doubts.value += 1

    def _report_left_out(self, names: list[str]) -> None:
        """Log which models are here and are not announced, when these change."""
        if names != self._left_out:
            self._left_out = names
            if names:
                log.warning("models.not_announced", models=names, most=MOST_SERVED)

    def _text(self) -> str:
        return bytes(self._names[self._latest.value].value).decode()

    def _served(self) -> list[str]:
        known = cards(self._store)
        here = [name for name, card in known.items() if self._is_here(card)]
        modes = [
            mode
            for mode, usual in USUAL.items()
            if (name := self._settings.mode_models.get(mode, usual)) in here and mode in known[name].tracks
        ]
        return [*modes, *here]

    def _is_here(self, card: Card) -> bool:
        """Return whether a model, or all members of an ensemble, can be loaded or fetched."""
        if card.kind is Kind.ENSEMBLE:
            try:
                return all(map(self._is_here, members(card, self._store)))
            except (CardError, OptionError) as error:
                log.warning("model.not_served", model=card.name, reason=error.message)
                return False
        if card.name in BUILT_IN and self._settings.models_fetch:
            return True
        if self._is_too_large(card):
            return False
        return self._store.has(published(card)) and self._is_sound(card)

    def _is_too_large(self, card: Card) -> bool:
        """Return whether a model that was added takes more memory than there is: its jobs would be killed."""
        most = total_memory()
        is_too_large = card.name not in BUILT_IN and most is not None and (card.memory_mb or 0) * 1e6 > most
        if is_too_large != (card.name in self._too_large):
            self._too_large ^= {card.name}
            if is_too_large and most is not None:
                has = f"memory_mb is {card.memory_mb:.0f}, and this worker has {most / 1e6:.0f} MB"
                log.warning("model.not_served", model=card.name, reason=has)
        return is_too_large

    def _is_sound(self, card: Card) -> bool:
        folder = self._store.folder(published(card))
        for file in published(card).files:
            path = folder / file.name
            try:
                place: tuple[Path, tuple[int, ...]] = (path, identity_of(path))
                if place not in self._sound:
                    verify_file(path, file)
                    self._sound[place] = True
            except WeightsCorrupt as error:
                log.warning("model.not_served", model=card.name, reason=error.message)
                self._sound[place] = False
            except OSError as error:  # removed meanwhile
                log.warning("model.not_served", model=card.name, reason=error.strerror)
                return False
            if not self._sound[place]:
                return False
        return True
