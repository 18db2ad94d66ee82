"""Webhook secrets that sign a job's callbacks: its queue's, else its credential's, else the general ones."""

from __future__ import annotations

import threading
import time
from typing import Final

from pydantic import SecretStr, TypeAdapter

from stemline.jobs.job import JobSpec
from stemline.runtime.settings import Credential, Settings

_CREDENTIALS: Final = TypeAdapter(tuple[Credential, ...])
RELOAD_INTERVAL_S: Final = 2.0
"""How often the credentials file is checked for changes, s."""


class WebhookSecrets:
    """The secrets of the settings and of the credentials file, which is reloaded when it changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fixed = {entry.secret_id: entry.webhook_secrets for entry in settings.access.credentials}
        self._from_file: dict[str, tuple[SecretStr, ...]] | None = None
        self._stamp: tuple[int, int] | None = None
        self._checked_at = -RELOAD_INTERVAL_S
        self._lock = threading.Lock()

    def of(self, spec: JobSpec) -> list[str]:
        """Return the secrets for a job; empty if its callbacks are not signed.

        Raises:
            OSError: The credentials file could never be read, so it is unknown whether to sign.
            ValueError: The same, because its content is invalid.
        """
        found = (
            self._settings.callbacks.queue_webhook_secrets.get(spec.queue_id)
            or (self._by_credential().get(spec.credential) if spec.credential else None)
            or self._settings.callbacks.webhook_secrets
        )
        return [secret.get_secret_value() for secret in found]

    def _by_credential(self) -> dict[str, tuple[SecretStr, ...]]:
        path = self._settings.access.credentials_file
        if path is None:
            return self._fixed
        with self._lock:
            if time.monotonic() - self._checked_at >= RELOAD_INTERVAL_S:
                try:
                    status = path.stat()
                    stamp = (status.st_mtime_ns, status.st_size)
                    if stamp != self._stamp:
                        entries = _CREDENTIALS.validate_json(path.read_bytes())
                        self._from_file = {entry.secret_id: entry.webhook_secrets for entry in entries}
                        self._stamp = stamp
                    self._checked_at = time.monotonic()
                except (OSError, ValueError):
                    # While a file is being replaced it may be invalid: keep the old secrets.
                    if self._from_file is None:
                        raise
            return {**(self._from_file or {}), **self._fixed}
