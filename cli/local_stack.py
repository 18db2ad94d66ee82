"""Access to the job store from commands: that of the settings, or of a local stack."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stemline.jobs.store import RedisStore


def open_store() -> RedisStore:
    """Open the store of ``STEMLINE_REDIS_URL``; if it is not set, that of the local stack of this folder.

    Raises:
        click.ClickException: the store does not answer.
    """
    from pydantic import SecretStr

    from stemline.jobs.errors import StoreUnavailable
    from stemline.runtime import store as runtime_store
    from stemline.runtime.settings import Settings

    settings = Settings()
    stack_file = settings.local.home / "stack.json"
    if "STEMLINE_REDIS_URL" not in os.environ and stack_file.exists():
        url = json.loads(stack_file.read_text())["redis_url"]
        settings = settings.with_changes(redis_url=SecretStr(url))
    store = runtime_store.open_store(settings)
    try:
        store.now()
    except StoreUnavailable as error:
        raise click.ClickException(
            "the job store does not answer; set STEMLINE_REDIS_URL, or run this beside `stemline up`"
        ) from error
    return store
