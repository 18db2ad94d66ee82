"""Words on the command line that must not be empty.

A variable that is not set leaves an empty word, which would otherwise mean the current folder, or everything.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from stemline.cli.output import printable


class Word(click.ParamType[str]):
    """A text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse an empty text."""
        if not value.strip():
            self.fail("it is empty", param, ctx)
        return str(value)


class Folder(click.ParamType[Path]):
    """A folder, which need not be there."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Refuse an empty name, and that of a file."""
        if not str(value):
            self.fail("it is empty; the current folder is .", param, ctx)
        path = Path(value)
        with suppress(OSError):  # a name that is too long is an error when the folder is made
            if path.exists() and not path.is_dir():
                self.fail(f"{printable(str(value))} is not a folder", param, ctx)
        return path


WORD, FOLDER, COUNT = Word(), Folder(), click.IntRange(0, 1_000_000_000)
