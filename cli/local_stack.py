"""The job store that a command on this machine means."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stemline.jobs.store import Store


def open_store() -> Store:
    """The store of the settings; where they name none, that of a local stack which runs from the same folder.

    Raises:
        click.ClickException: the settings are wrong, or the store does not answer.
    """
    from pydantic import SecretStr, ValidationError

    from stemline.jobs.errors import StoreUnavailable
    from stemline.runtime import store as runtime_store
    from stemline.runtime.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        raise click.ClickException(f"the settings are wrong: {error}") from error
    stack = settings.local.home / "stack.json"
    if "STEMLINE_REDIS_URL" not in os.environ and stack.exists():
        url = json.loads(stack.read_text())["redis_url"]
        settings = settings.with_changes(redis_url=SecretStr(url))
    store = runtime_store.open_store(settings)
    try:
        store.now()
    except StoreUnavailable as error:
        raise click.ClickException(
            "the job store does not answer; set STEMLINE_REDIS_URL, or call this where `stemline up` runs"
        ) from error
    return store
