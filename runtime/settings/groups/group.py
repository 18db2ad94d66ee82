"""What every group of settings is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def setting(default: Any, description: str, *, variable: str | None = None, **bounds: Any) -> Any:
    """Describe one setting.

    Args:
        default: Value if the variable is not set.
        description: What it does, with its unit.
        variable: Name of the variable in lower case, without prefix; the field's name if not given.
        bounds: As :func:`pydantic.Field` takes them, such as ``ge`` and ``gt``.
    """
    named: Any = {"variable": variable} if variable else None
    return Field(default, description=description, json_schema_extra=named, **bounds)


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")
