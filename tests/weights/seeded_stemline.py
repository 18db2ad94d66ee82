"""The `stemline` command, for which the 4-stem model has the checksums of other files.

    python -m tests.weights.seeded_stemline FOLDER WORDS…

FOLDER holds the archive, and the files that are in it. Everything else is the product's own: the address, the
download, the checks, the worker.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from stemline.cli.main import main
from stemline.models import catalogue
from stemline.models.published import ModelFile
from stemline.models.weights import sha256

NAME = "4stems"


def of(path: Path) -> ModelFile:
    """Return what the catalogue says of a file."""
    return ModelFile(path.name, sha256(path), path.stat().st_size)


def patch(folder: Path) -> None:
    """Let the catalogue name the files of a folder."""
    model = catalogue.MODELS[NAME]
    data, index, archive = (of(folder / file.name) for file in (*model.files, model.archive))
    models: Any = catalogue.MODELS
    models[NAME] = replace(model, data=data, index=index, archive=archive)


if __name__ == "__main__":
    patch(Path(sys.argv.pop(1)))
    sys.exit(main())
