"""Webhook secrets that sign a job's callbacks: its queue's, else its credential's, else the general ones."""

from __future__ import annotations

from pydantic import SecretStr

from stemline.jobs.job import JobSpec
from stemline.runtime.credentials import CredentialFile
from stemline.runtime.settings import Credential
from stemline.runtime.settings.groups import CallbackSettings


class CredentialRemoved(ValueError):
    """The credential whose secrets were to sign a callback was removed, or replaced by another key pair."""


class WebhookSecrets:
    """The secrets of the settings and of the credentials."""

    def __init__(self, settings: CallbackSettings, key_pairs: CredentialFile[Credential]) -> None:
        self._settings = settings
        self._key_pairs = key_pairs

    def of(self, spec: JobSpec) -> list[str]:
        """Return the secrets for a job; empty if its callbacks are not signed.

        Raises:
            UnreadableFile: The credentials file could never be read, so it is unknown whether to sign.
            CredentialRemoved: The credential that had secrets is not known any more.
        """
        found = (
            self._settings.queue_webhook_secrets.get(spec.queue_id)
            or self._of_credential(spec)
            or self._settings.webhook_secrets
        )
        return [secret.get_secret_value() for secret in found]

    def _of_credential(self, spec: JobSpec) -> tuple[SecretStr, ...]:
        entry = self._key_pairs.entries().get(spec.credential) if spec.credential else None
        if entry is None and spec.signed:
            raise CredentialRemoved("their credential was removed, or replaced by another key pair")
        return entry.webhook_secrets if entry else ()
