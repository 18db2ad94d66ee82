"""What commands print: tables that fit a terminal, lines for programs, JSON."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from stemline.cli import tables
from stemline.cli.program import spelled
from stemline.cli.tables import Column
from stemline.wire.letters import is_writable

if TYPE_CHECKING:
    from rich.console import Console


class _Raw(Protocol):
    """An object of the client, which keeps what the API answered."""

    @property
    def raw(self) -> Mapping[str, Any]: ...


_Object = TypeVar("_Object", bound=_Raw)
_F = TypeVar("_F", bound=Callable[..., Any])
_ANY_NAME = "stemline-any-name"
_BREAK = re.compile(r" *[\t-\r\x1c-\x1f\x85\u2028\u2029]\s*")
COLOURS = {
    "Success": "green",
    "Active": "green",
    "Delivered": "green",
    "Failed": "red",
    "Dead": "red",
    "Running": "blue",
    "Pause": "yellow",
    "Paused": "yellow",
    "Cancel": "yellow",
    "Pending": "yellow",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
    "skipped": "dim",
}


def as_json(command: _F) -> _F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(command)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON; a list is printed entry by entry, each on a line of its own."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # such as a file name that is not UTF-8
        text = json.dumps(value, default=str)
    click.echo(text if text.isprintable() else "".join(map(_escaped, text)))


def _escaped(letter: str) -> str:
    """Return a letter of JSON; one that a terminal would interpret, or not show, as its escape."""
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


def printable(text: str) -> str:
    """Return a text that every terminal takes: on one line, without control characters."""
    name = text.encode("utf-8", "replace").decode()
    return "".join(each if is_writable(each) else "?" for each in name)


def say(line: str, *, err: bool = False) -> None:
    """Print a line that may hold what a service, a store or a receiver has said."""
    click.echo(printable(line), err=err)


def print_paths(paths: Iterable[object]) -> None:
    """Print paths: for other programs as they are, and so that a terminal takes them."""
    shown = printable if sys.stdout.isatty() else str
    click.echo("\n".join(shown(str(path)) for path in paths))


def _in_line(text: str) -> str:
    """Return a text for other programs: on one line, without control characters, file names as they are."""
    return "".join(each if is_writable(each) or "\udc80" <= each <= "\udcff" else "?" for each in _line(text))


def _line(text: str) -> str:
    """Return a text without ends of lines and tabs; other white space may be a part of a name."""
    return _BREAK.sub(" ", text.strip("\t\r\n"))


def counted(count: int, what: str) -> str:
    """Return a number of things, for people."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def hint(text: str) -> None:
    """Print what the user may do now, on stderr."""
    say(f"Hint: {spelled(text)}", err=True)


def take_every_name() -> None:
    """Let the standard output take names that its encoding has no letters for.

    Bytes of a file name that are no letters are printed as they are, so that other programs find the file.
    """
    codecs.register_error(_ANY_NAME, _any_name)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ANY_NAME)


def _any_name(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return b"".join(
        bytes([ord(each) - 0xDC00]) if "\udc80" <= each <= "\udcff" else b"?" for each in letters
    ), error.end


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, empty: str = "") -> None:
    """Print a table: fitted on a terminal, otherwise one line for each row, with tabs between its texts.

    Args:
        columns: Columns of the table.
        rows: Their texts.
        empty: Said on a terminal if there are no rows.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_in_line(text) for text in row))
        return
    console = screen()
    lines = [[printable(_line(text)) for text in row] for row in rows]
    if not lines:
        console.print(empty, style="dim")
        return
    console.print(table(columns, lines, console.width))


def print_objects(
    objects: Iterable[_Object],
    columns: Sequence[Column],
    row: Callable[[_Object], Sequence[str]],
    *,
    as_json: bool,
    empty: str = "",
) -> None:
    """Print objects of the API: as JSON, as it was answered, or as a table; see `print_table`.

    Args:
        objects: Objects of the client.
        columns: Columns of the table.
        row: Returns an object's texts.
        as_json: Whether JSON is printed.
        empty: Said on a terminal if there are no objects.
    """
    if as_json:
        for each in objects:
            print_json(each.raw)
    else:
        print_table(columns, map(row, objects), empty=empty)


def print_result(*lines: object, as_json: bool, **fields: Any) -> None:
    """Print what a command did: its lines, or fields as JSON."""
    if as_json:
        print_json(fields)
    else:
        click.echo("\n".join(map(str, lines)))


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> Any:
    """Return a table for a terminal of a width; what has no room in a column is put below its row."""
    return tables.table(columns, rows, width, COLOURS)


def screen(*, stderr: bool = False, highlight: bool = False) -> Console:
    """Return a console that wraps nothing where the output is not a terminal.

    Args:
        stderr: Whether it prints to stderr.
        highlight: Whether numbers and the like have colours.
    """
    from rich.console import Console

    console = Console(stderr=stderr, highlight=highlight)
    if not console.is_terminal:
        console.width = 100_000
        console.soft_wrap = True
    return console


def is_live() -> bool:
    """Whether bars can be drawn: on a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def local_time(moment: datetime | None) -> str:
    """Return a time in this machine's time zone, for people."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size_text(count: int) -> str:
    """Return a number of bytes, for people."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def span(seconds: float | None, *, whole: bool = False) -> str:
    """Return a length of time, for people.

    Args:
        seconds: How long it is, if it is known.
        whole: Whether it comes from times of the wire, which have whole seconds.
    """
    if seconds is None:
        return "-"
    if whole and seconds < 1:
        return "< 1 s"
    if round(seconds, 0 if whole else 1) < 60:
        return f"{seconds:.{0 if whole else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
