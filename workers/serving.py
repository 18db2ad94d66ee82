"""Which models and modes a worker serves: those that are in its model directory, or may be fetched."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from pathlib import Path
from typing import Final

import structlog

from stemline.jobs.serving import MAX_SERVED, announced
from stemline.models.card import Card, Kind
from stemline.models.catalogue import BUILT_IN
from stemline.models.checksums import identity_of
from stemline.models.library import members, published, read_cards
from stemline.models.published import ModelFile
from stemline.models.weights import WeightStore, verify_file
from stemline.runtime.errors import UnusableFolder
from stemline.runtime.settings.groups import EngineSettings
from stemline.separation.errors import CardError, OptionError, WeightsCorrupt, WeightsMissing
from stemline.workers.available_memory import total_memory
from stemline.workers.model_choice import USUAL

log = structlog.get_logger(__name__)

_MAX_BYTES: Final = MAX_SERVED * 64


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
        self._names = [multiprocessing.RawArray(ctypes.c_char, _MAX_BYTES + 1) for _ in range(2)]
        self._latest = multiprocessing.RawValue(ctypes.c_int, 0)
        self._doubts = multiprocessing.RawValue(ctypes.c_uint, 0)
        self._doubts_seen = 0
        self._left_out: list[str] = []
        self._reasons: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._found: dict[tuple[Path, tuple[int, ...]], str] = {}
        """What is wrong with each file that was read; empty if nothing is."""

    def refresh(self) -> tuple[str, ...]:
        """Look at the models again, and return what is served."""
        if (doubts := self._doubts.value) != self._doubts_seen:
            self._doubts_seen = doubts
            self._found.clear()
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
                log.warning("models.not_announced", models=names, most=MAX_SERVED)

    def _text(self) -> str:
        return bytes(self._names[self._latest.value].value).decode()

    def _served(self) -> list[str]:
        known, reasons = read_cards(self._store)
        self._reasons = dict(reasons)
        here = [name for name, card in known.items() if self._is_here(card)]
        modes = [
            mode
            for mode, usual in USUAL.items()
            if (name := self._settings.mode_models.get(mode, usual)) in here and mode in known[name].tracks
        ]
        self._report_reasons()
        return [*modes, *here]

    def _report_reasons(self) -> None:
        """Log why models that were added are not served, each when it is new."""
        for model, reason in self._reasons.items():
            if self._said.get(model) != reason:
                log.warning("model.not_served", model=model, reason=reason)
        self._said = self._reasons

    def _is_here(self, card: Card) -> bool:
        """Return whether a model, or all members of an ensemble, can be loaded or fetched."""
        if card.kind is Kind.ENSEMBLE:
            try:
                return all(map(self._is_here, members(card, self._store)))
            except (CardError, OptionError) as error:
                self._reasons[card.name] = error.message
                return False
        if card.name in BUILT_IN and self._settings.models_fetch:
            return True
        if reason := self._fault(card):
            self._reasons[card.name] = reason
        return not reason and self._store.has(published(card))

    def _fault(self, card: Card) -> str:
        """Return why a model cannot be run here; empty where it can, or a built-in one is not here."""
        most = total_memory()
        if card.name not in BUILT_IN and most is not None and (card.memory_mb or 0) * 1e6 > most:
            # Its jobs would be killed.
            return f"memory_mb is {card.memory_mb:.0f}, and this worker has {most / 1e6:.0f} MB"
        if not self._store.has(published(card)):
            return "" if card.name in BUILT_IN else "a file is missing"
        folder = self._store.folder(published(card))
        return next(
            filter(None, (self._damage(folder / file.name, file) for file in published(card).files)), ""
        )

    def _damage(self, path: Path, file: ModelFile) -> str:
        """Return what is wrong with a file, which is read if it is new or has changed."""
        try:
            place = (path, identity_of(path))
            if place not in self._found:
                self._found[place] = _fault_of(path, file)
        except OSError as error:  # removed meanwhile
            return error.strerror or str(error)
        return self._found[place]


def _fault_of(path: Path, file: ModelFile) -> str:
    """Read a file, and return what is wrong with it."""
    try:
        verify_file(path, file)
    except WeightsCorrupt as error:
        return error.message
    return ""
