"""Tables that fit a terminal: what has no room in a column is put below its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_GAP: Final = 2
"""Spaces between columns."""
_LEAST: Final = 8
"""Width below which no column is made narrower."""
_NOTHING: Final = frozenset({"", "-"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    min_width: int = 0
    """Columns that the terminal must have for this one to be shown."""
    right: bool = False
    is_id: bool = False
    """Whether it is never cut or folded, so that it can be copied."""
    is_path: bool = False
    """Whether its end says most: where it has no room, its beginning is left out instead of folding it."""
    is_extra: bool = False
    """Whether it is left out where it has no room; otherwise it is put below the row."""


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, colours: Mapping[str, str]
) -> Any:
    """Return a table for a terminal of a width.

    Args:
        columns: Columns of the table.
        rows: Their texts.
        width: Width of the terminal.
        colours: Colours of whole texts.
    """
    from rich.console import Group
    from rich.padding import Padding

    lines = list(rows)
    shown = [number for number, column in enumerate(columns) if width >= column.min_width]
    while len(shown) > 1 and _min_total(columns, shown, lines) > width:
        shown.pop()
    below = [n for n, column in enumerate(columns) if n not in shown and not column.is_extra]
    widths = _widths(columns, shown, lines, width)
    drawn: list[Any] = [_table(columns, shown, widths, header=True)]
    for row in lines:
        if drawn[-1] is None:
            drawn[-1] = _table(columns, shown, widths, header=False)
        cells = zip(shown, widths, strict=True)
        drawn[-1].add_row(*(_text(_cell(columns[n], row[n], room), colours) for n, room in cells))
        if notes := list(_notes(columns, below, row)):
            drawn += [Padding(note, (0, 0, 0, _GAP)) for note in notes] + [None]
    return Group(*(each for each in drawn if each is not None))


def _table(columns: Sequence[Column], shown: Sequence[int], widths: Sequence[int], *, header: bool) -> Table:
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for number, width in zip(shown, widths, strict=True):
        column = columns[number]
        made.add_column(
            column.title,
            width=width,
            overflow="ellipsis" if column.right else "fold",
            no_wrap=column.right or column.is_id,
            justify="right" if column.right else "left",
        )
    return made


def _widths(
    columns: Sequence[Column], shown: Sequence[int], lines: Sequence[Sequence[str]], width: int
) -> list[int]:
    """Return the width of each shown column; where they do not fit, the widest texts are folded."""
    widths = [_natural(columns, number, lines) for number in shown]
    foldable = [at for at, n in enumerate(shown) if not (columns[n].is_id or columns[n].right)]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for _ in range(max(0, over)):
        widest = max(foldable, key=lambda at: widths[at], default=None)
        if widest is None or widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    return widths


def _natural(columns: Sequence[Column], number: int, lines: Sequence[Sequence[str]]) -> int:
    """Return the width at which nothing of a column is folded."""
    from rich.cells import cell_len

    return max(map(cell_len, (columns[number].title, *(row[number] for row in lines))))


def _min_total(columns: Sequence[Column], shown: Sequence[int], lines: Sequence[Sequence[str]]) -> int:
    """Return the width of a table whose texts are folded as far as may be."""
    widths = [
        natural if columns[number].right or columns[number].is_id else min(natural, _LEAST)
        for number in shown
        for natural in [_natural(columns, number, lines)]
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def _notes(columns: Sequence[Column], below: Sequence[int], row: Sequence[str]) -> Iterator[Any]:
    """Yield the lines below a row: one for all numbers, and one for each text."""
    from rich.text import Text

    known = [number for number in below if row[number] not in _NOTHING]
    numbers = [f"{columns[number].title} {row[number]}" for number in known if columns[number].right]
    texts = [f"{columns[number].title}  {row[number]}" for number in known if not columns[number].right]
    for line in [*(["  ".join(numbers)] if numbers else []), *texts]:
        yield Text(line, style="dim", overflow="fold")


def _cell(column: Column, text: str, room: int) -> str:
    """Return what is shown of a text in a column."""
    from rich.cells import cell_len, set_cell_size

    if not column.is_path or cell_len(text) <= room:
        return text
    return "…" + set_cell_size(text[::-1], room - 1).rstrip()[::-1]


def _text(text: str, colours: Mapping[str, str]) -> Any:
    from rich.text import Text

    return Text(text, style=colours.get(text, ""))
