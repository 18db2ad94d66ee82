"""Every setting is read by the product: none is documented and then forgotten."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from stemline.runtime.settings import Settings

PACKAGES = Path(__file__).parents[3] / "src" / "stemline"


@cache
def read_names() -> set[str]:
    """The attributes and the variables that product code reads, the settings' own package left out."""
    found: set[str] = set()
    for folder in PACKAGES.iterdir():
        for file in folder.resolve().rglob("*.py") if folder.is_dir() else ():
            if "settings" in file.parts and "runtime" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and str(node.value).startswith("STEMLINE_"):
                    found.add(str(node.value))
    return found


SETTINGS = [
    (group, name)
    for group, model in Settings.model_fields.items()
    if isinstance(model.annotation, type) and issubclass(model.annotation, BaseModel)
    for name in model.annotation.model_fields
]


def test_the_settings_are_found() -> None:
    """There are dozens of them, in groups."""
    assert len(SETTINGS) > 60


@pytest.mark.parametrize(("group", "name"), SETTINGS)
def test_every_setting_is_read(group: str, name: str) -> None:
    """Some module of the product reads it from its group, or its variable where settings are not at hand."""
    read = read_names()
    assert {group, name} <= read or f"STEMLINE_{name.upper()}" in read
