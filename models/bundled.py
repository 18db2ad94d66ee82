"""Networks of somebody's own, installed from a bundle that `stemline models bundle` wrote."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stemline.models.archive import unpack_tar
from stemline.models.card import CARD_FILE
from stemline.models.card_file import read_card
from stemline.models.installation import add
from stemline.models.library import card_named
from stemline.models.published import ModelFile
from stemline.models.transfer import redacted, transfer
from stemline.models.weights import WeightStore
from stemline.separation.errors import OptionError, SeparationError, WeightsMissing

_MAX_CARD_BYTES: Final = 1 << 20
#: Largest bundle that is downloaded, bytes.
_MAX_BUNDLE_BYTES: Final = 16 << 30


@dataclass(frozen=True, slots=True)
class _Card:
    """The card of a model alone, which says what its other files are."""

    name: str

    @property
    def files(self) -> tuple[ModelFile, ...]:
        return (ModelFile(CARD_FILE, None, _MAX_CARD_BYTES),)


def install(store: WeightStore, name: str, source: str | None) -> Path:
    """Install a network that is not in the catalogue; without a source, check that it is here and whole.

    Args:
        store: Where to install it.
        name: Of the model.
        source: A bundle or its http, https or s3 URL, or a folder with the model's folder or files in it.

    Returns:
        The folder of the model.

    Raises:
        OptionError: It is not here, and no source is named.
        WeightsMissing: Its network is not here, or there is no such source.
        WeightsCorrupt: The source does not hold the model, or a file is damaged.
        CardError: Its card is wrong.
    """
    if source is None:
        try:
            return store.verified(card_named(name, store))
        except OptionError:
            raise
        except SeparationError as error:
            message = f"{name} is a network of your own: name a bundle with it by --from, or add it again."
            raise type(error)(f"{error.message.partition(';')[0]}. {message}") from error
    if "://" in source:
        with tempfile.TemporaryDirectory(dir=store.scratch()) as folder:
            bundle = Path(folder) / "bundle"
            transfer(source, bundle, limit=_MAX_BUNDLE_BYTES)
            return _from_bundle(store, name, bundle, redacted(source))
    path = Path(source).expanduser()
    if path.is_dir():
        inside = path / name if (path / name).is_dir() else path
        return _add(store, name, inside, source)
    if not path.is_file():
        raise WeightsMissing(f"{source} is neither a bundle nor a folder, which {name} is installed from.")
    return _from_bundle(store, name, path, source)


def _from_bundle(store: WeightStore, name: str, bundle: Path, source: str) -> Path:
    """Install a model from a bundle, which messages call `source`."""
    with tempfile.TemporaryDirectory(dir=store.scratch()) as folder:
        unpack_tar(bundle, _Card(name), Path(folder))
        card = read_card(Path(folder) / CARD_FILE)
        unpack_tar(bundle, card, Path(folder))
        return _add(store, name, Path(folder), source)


def _add(store: WeightStore, name: str, folder: Path, source: str) -> Path:
    card = read_card(folder / CARD_FILE)
    if card.name != name:
        raise OptionError(f"{source} holds the model {card.name!r}, not {name!r}.")
    file = folder / card.file if card.file else None
    return store.folder(add(store, folder / CARD_FILE, file, replace_it=True))
