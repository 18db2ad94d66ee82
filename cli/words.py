"""Kinds of words on the command line, and how a shell completes them.

No word may be empty: a variable that is not set leaves an empty word, which would otherwise mean the current
folder, or everything.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click
from click.shell_completion import CompletionItem

from stemline.cli.exits import CommandFailed
from stemline.cli.output import printable
from stemline.cli.statuses import NOT_FOUND


class Word(click.ParamType[str]):
    """A text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse an empty text."""
        if not value.strip():
            self.fail("it is empty", param, ctx)
        return str(value)


class Source(Word):
    """A file, a folder, a pattern or a key: the shell completes the files of this machine."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete files and folders."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete folders."""
        del ctx, param
        return [CompletionItem(incomplete, type="dir")]


class InputPath(click.Path):
    """A file to read."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a file that does not exist, and a folder."""
        _check_exists(value)
        return super().convert(value, param, ctx)


class InputFile(click.File):
    """A file to read, as it is opened; - is the standard input."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IO[Any]:
        """Refuse a file that does not exist."""
        if value != "-":
            _check_exists(value)
        return super().convert(value, param, ctx)


def _check_exists(value: Any) -> None:
    """Refuse a file that does not exist.

    Raises:
        CommandFailed: With the status of everything that was not found.
    """
    if isinstance(value, str | Path) and str(value) and not Path(value).exists():
        raise CommandFailed(f"there is no file {printable(str(value))}", status=NOT_FOUND)


WORD, SOURCE, FOLDER = Word(), Source(), Folder()
INPUT_PATH, INPUT_FILE = InputPath(), InputFile()
COUNT = click.IntRange(0, 1_000_000_000)
