"""Reads and writes cards: TOML files whose errors name the line and the field."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemline.models.card import Card
from stemline.models.card_tables import FieldError
from stemline.separation.errors import CardError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: A card is some lines of text; a larger file is none.
_MAX_BYTES = 64 << 10

#: Errors of pydantic about what is an object in JSON.
_TABLES = frozenset({"dataclass_type", "dict_type"})
_TABLE = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        CardError: The file is not there, is not TOML, or says something wrong; with line and field.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device has no end
            raise CardError(f"{path} is no file.")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CardError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise CardError(f"{path} is too long; a card has at most {_MAX_BYTES} bytes.")
    try:
        text = content.decode("utf-8-sig")  # some editors write a byte order mark
        values = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CardError(f"{path} is not TOML: {error}.") from error
    except ValueError as error:  # of int()
        raise CardError(f"{path} has a number of thousands of digits.") from error
    return _checked(values, text, path)


def _checked(values: Mapping[str, Any], text: str, path: Path) -> Card:
    """Return the card that these values describe; the text is searched for the line of a wrong one."""
    from pydantic import ValidationError  # noqa: PLC0415  # slow to import

    def refuse(value: object) -> None:
        raise CardError(f"{path}: {value} is a date or a time, which no field of a card is.")

    try:
        # As JSON a list may become a tuple, while no text becomes a number, and no number a truth value.
        return _schema().validate_json(json.dumps(values, default=refuse), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        where: tuple[str | int, ...] = first["loc"]
        message = first["msg"]
        if isinstance(cause, FieldError):
            where, message = cause.path, str(cause)
        elif first["type"] == "unexpected_keyword_argument":
            message = "there is no such field"
        elif first["type"] == "missing":
            message = "is missing"
        elif first["type"] in _TABLES:
            message = "must be a table"
        elif first["type"] == "json_invalid":
            raise CardError(f"{path} is nested too deeply.") from None
        elif where != (where := _in_card(values, where)):
            message = "must be text or a number"  # pydantic adds which of both it tried
        line = _line_of(text, where)
        place = f"line {line}, " if line else ""
        raise CardError(f"{path}, {place}{'.'.join(map(str, where))}: {message}.") from None


@cache
def _schema() -> TypeAdapter[Card]:
    from pydantic import TypeAdapter  # noqa: PLC0415  # slow to import

    return TypeAdapter(Card)


def _in_card(values: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return as much of a path as leads to a value."""
    for depth, part in enumerate(path):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return path[:depth]
    return path


def _line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """Return the line of a value, or of the innermost table or key around it that has a line."""
    wanted = [str(part) for part in path]
    best: tuple[int, int] | None = None
    for number, place in _places(text):
        depth = len(place)
        if place == wanted[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _places(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that begins a table or a value, and where that stands."""
    table: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            table = _parts(found[2])
            if found[1] == "[[":
                index = seen[found[2]] = seen.get(found[2], -1) + 1
                table = [*table, str(index)]
            yield number, table
        elif found := _KEY.match(line):
            yield number, [*table, *_parts(found[1])]


def _parts(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]


def card_text(card: Card) -> str:
    """Return the TOML of a card, with only what differs from the defaults."""
    values, tables = _split(card)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    for name, table in tables.items():
        lines += _table_lines(name, table)
    return "\n".join(lines) + "\n"


def _split(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plain values and the tables of a dataclass that differ from their defaults."""
    plain: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for each in fields(value):
        item = getattr(value, each.name)
        default = each.default if each.default_factory is MISSING else each.default_factory()
        if item in (default, None):
            continue
        is_table = is_dataclass(item) or isinstance(item, Mapping) or each.name == "members"
        (tables if is_table else plain)[each.name] = item
    return plain, tables


def _table_lines(name: str, table: Any) -> list[str]:
    if isinstance(table, tuple):
        return [line for item in table for line in _table_lines(f"[{name}]", item)]
    if isinstance(table, Mapping):
        plain = {key: value for key, value in table.items() if not is_dataclass(value)}
        inner = {key: value for key, value in table.items() if is_dataclass(value)}
    else:
        plain, inner = _split(table)[0], {}
        plain |= {key: value for key, value in _split(table)[1].items() if isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in plain.items()]
    if lines:
        lines = ["", f"[{name}]", *lines]
    for key, value in inner.items():
        lines += _table_lines(f"{name}.{key}", value)
    return lines


def _key(key: str) -> str:
    """Return a key in TOML, in quotes where it needs them."""
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _toml(key)


def _toml(value: Any) -> str:
    """Return a value in TOML; strings of JSON without surrogates are strings of TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
