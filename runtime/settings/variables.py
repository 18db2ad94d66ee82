"""Reading settings from environment variables: one flat model made of all groups."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Self

from pydantic import create_model, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemline.runtime.redaction import secrets_of
from stemline.runtime.settings.groups import Group

PREFIX = "STEMLINE_"
#: What is read when Stemline is built or installed, and may still be set afterwards.
_OF_THE_BUILD: Final = frozenset({f"{PREFIX}NATIVE"})
PLACEHOLDER: Final = "change-me"
"""Stands in the example files for each secret; whoever reads them knows it."""


class _Variables(BaseSettings):
    """Base of the model that has one field for each variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=None,
        frozen=True,
        extra="forbid",
        # A refused value may be a secret.
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        """Refuse misspelt values, which would have no effect."""
        known = {PREFIX + name.upper() for name in cls.model_fields}
        wrong = []
        for name in sorted(os.environ.keys() - _OF_THE_BUILD):
            if name.startswith(PREFIX) and name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
                wrong.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
        if wrong:
            raise ValueError(", ".join(wrong))
        return values

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> Self:
        """Refuse secrets that were left as the example files have them."""
        names = [name for name in type(self).model_fields if has_placeholder(getattr(self, name))]
        if names:
            variables = ", ".join(PREFIX + name.upper() for name in names)
            raise ValueError(f"{variables}: a secret is still {PLACEHOLDER}, as in the example; set your own")
        return self


def has_placeholder(value: Any) -> bool:
    """Return whether a secret in a value, at any depth, is the one of the example files."""
    return PLACEHOLDER in secrets_of(value)


def variable_name(group: type[Group], field: str) -> str:
    """Return the name of a setting's variable, in lower case and without prefix."""
    extra = group.model_fields[field].json_schema_extra
    return str(extra["variable"]) if isinstance(extra, dict) else field


def read_variables(groups: Sequence[type[Group]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check all settings.

    Args:
        groups: The groups whose settings are read.
        values: Settings by variable name that take precedence over the environment.

    Returns:
        Every setting by variable name.
    """
    read = _model(tuple(groups))(**values)
    return {name: getattr(read, name) for name in type(read).model_fields}


@cache
def _model(groups: tuple[type[Group], ...]) -> type[_Variables]:
    fields: dict[str, Any] = {
        variable_name(group, name): (field.annotation, copy.copy(field))
        for group in groups
        for name, field in group.model_fields.items()
    }
    return create_model("Settings", __base__=_Variables, **fields)
