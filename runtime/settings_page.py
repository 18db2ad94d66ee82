"""``docs/settings.md``, made from the settings class, so that it cannot say anything else."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr

from stemline.runtime import settings
from stemline.runtime.settings import PREFIX, BucketAccess, Credential, HostRoute, Settings

_HEAD = """\
# Settings

Every process reads its settings once, at its start, from environment variables.
Lists and maps are JSON.
A `STEMLINE_` variable that is not on this page is refused at the start, with a suggestion.
`stemline settings --check` says what is wrong without starting anything; `stemline doctor` looks further.

This page is made by `make docs` from `runtime/settings.py`.
"""
_SECTION = re.compile(r"^    # -- (.+)$", re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): ", re.MULTILINE)
_SHAPES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("An item of `STEMLINE_CREDENTIALS`", Credential),
    ("A value of `STEMLINE_BUCKETS`", BucketAccess),
    ("A value of `STEMLINE_HOSTS`", HostRoute),
)


def page() -> str:
    """The whole page, Markdown."""
    source = inspect.getsource(Settings)
    marks = sorted(
        [(found.start(), "section", found[1]) for found in _SECTION.finditer(source)]
        + [(found.start(), "field", found[1]) for found in _FIELD.finditer(source)]
    )
    lines = [_HEAD]
    for _, kind, name in marks:
        if kind == "section":
            lines += [
                f"\n## {name[0].upper()}{name[1:]}\n",
                "| Variable | Default | Effect |",
                "|---|---|---|",
            ]
        elif name in Settings.model_fields:
            field = Settings.model_fields[name]
            effect = [field.description or "", *_choices(field.annotation), *_bounds(field.metadata)]
            lines.append(
                f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {' '.join(filter(None, effect))} |"
            )
    for title, model in _SHAPES:
        told = _attribute_docstrings(model)
        lines += [f"\n## {title}\n", f"{(model.__doc__ or '').replace('``', '`')}\n"]
        lines += ["| Key | Default | Meaning |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            lines.append(f"| `{name}` | {default} | {told.get(name, '')} |")
    return "\n".join(lines) + "\n"


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is not Literal:
        return []
    return ["One of " + ", ".join(f"`{choice}`" for choice in get_args(annotation)) + "."]


def _bounds(metadata: list[Any]) -> list[str]:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    told = [
        f"{word} {getattr(each, name):g}"
        for each in metadata
        for name, word in words.items()
        if getattr(each, name, None) is not None
    ]
    return [f"({', '.join(told)})"] if told else []


def _default(value: Any) -> str:
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
        return f"`{value}`" if value else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path | str):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The strings below the attributes of a class of the settings module."""
    tree = ast.parse(inspect.getsource(settings))
    (body,) = (
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == model.__name__
    )
    found = {}
    for field, text in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = str(text.value.value).replace("``", "`")
    return found
