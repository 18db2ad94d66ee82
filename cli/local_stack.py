"""Access to what a local stack knows: its job store, its settings, its secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stemline.cli.exits import failure

if TYPE_CHECKING:
    from pathlib import Path

    from stemline.jobs.store import RedisStore


def running_stack() -> tuple[Path, dict[str, Any]] | None:
    """Return the ``stack.json`` of the stack that runs here, and its content.

    It is looked for in this folder, in those above it and beside the virtual environment.
    """
    from stemline.client.target import stack_document

    return stack_document()


def webhook_secrets() -> tuple[str, ...]:
    """Return the secret that signs the callbacks of the stack that runs here."""
    found = running_stack()
    secret = found[1].get("webhook_secret") if found else ""
    return (secret,) if secret else ()


def adopt_settings() -> Path | None:
    """Use the settings of the stack that runs here, unless variables name another service.

    Returns:
        The folder of the stack; ``None`` if the settings are those of the environment.
    """
    found = None if "STEMLINE_REDIS_URL" in os.environ else running_stack()
    if found is None:
        return None
    from stemline.deploy.local.addresses import Addresses
    from stemline.deploy.local.services import service_environment

    file, document = found
    try:
        addresses = Addresses.read(document)
    except KeyError:
        return None
    os.environ.update(service_environment(addresses, str(file.parent)))
    return file.parent


def open_store() -> RedisStore:
    """Open the store of ``STEMLINE_REDIS_URL``; if it is not set, that of the local stack of this folder.

    Raises:
        CommandFailed: The store does not answer.
    """
    from pydantic import SecretStr

    from stemline.jobs.errors import StoreUnavailable
    from stemline.runtime import store as runtime_store
    from stemline.runtime.settings import Settings

    settings = Settings()
    if "STEMLINE_REDIS_URL" not in os.environ and (found := running_stack()) is not None:
        settings = settings.with_changes(redis_url=SecretStr(found[1]["redis_url"]))
    store = runtime_store.open_store(settings)
    try:
        store.now()
    except StoreUnavailable as error:
        store.close()
        raise failure(error) from error
    return store
