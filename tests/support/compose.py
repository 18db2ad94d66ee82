"""Reads deploy/compose.yaml as its client would: variables filled in, everything else YAML's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.paths import REPOSITORY

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<rule>:-|:\?)(?P<rest>[^}]*))?\}")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """The text with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}`` filled in."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given = variables.get(found["name"], "")
        if given:
            return given
        if found["rule"] == ":-":
            return found["rest"]
        raise KeyError(f"{found['name']} {found['rest'] or 'is not set'}")

    return _VARIABLE.sub(value, text)


def filled(node: Any, variables: Mapping[str, str]) -> Any:
    """A YAML tree with the variables in its texts filled in."""
    if isinstance(node, dict):
        return {key: filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, variables) for value in node]
    return interpolate(node, variables) if isinstance(node, str) else node


def load(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The project that a compose file describes; `environment` of a service holds that of its files too."""
    tree = filled(yaml.safe_load(path.read_text()), variables)
    assert isinstance(tree, dict)
    for service in tree["services"].values():
        files = [path.parent / each["path"] for each in service.get("env_file", [])]
        found = {name: text for file in files if file.is_file() for name, text in dotenv(file).items()}
        if found:
            service["environment"] = filled(found, variables) | service.get("environment", {})
    return tree


def example() -> dict[str, str]:
    """The variables of deploy/.env.example, with secrets of an operator's own."""
    return {
        name: value.replace("change-me", "hush-hush")
        for name, value in dotenv(REPOSITORY / "deploy" / ".env.example").items()
    }


def dotenv(path: Path) -> dict[str, str]:
    """The variables of an .env file whose values are plain, or in single quotes."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pairs = (line.split("=", 1) for line in lines)
    return {name: value.strip("'") for name, value in pairs}
