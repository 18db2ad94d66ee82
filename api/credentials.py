"""The owners of credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stemline.jobs.policy import Policy
from stemline.jobs.queue import QueueLimits
from stemline.jobs.usage import Budget
from stemline.runtime.credentials import CredentialFile
from stemline.runtime.settings import Credential, Settings

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a credential: its key and what it may do."""

    id: str
    secret: str
    policy: Policy
    session_token: str | None = None
    expires_at: int | None = None
    require_digest: bool = False
    """Whether its signatures must cover a digest of the body and a nonce."""
    signs_callbacks: bool = False
    """Whether it has webhook secrets, with which the callbacks of its jobs are signed."""


_Known: TypeAlias = tuple[Mapping[str, Credential], dict[str, Principal]]
"""The entries of the credentials as they were read, and the principals made of them so far."""


class Principals:
    """The principals of all credentials, by SecretId, and that of unsigned requests."""

    def __init__(self, key_pairs: CredentialFile[Credential], settings: Settings) -> None:
        """Read the credentials.

        Args:
            key_pairs: The credentials.
            settings: Limits of queues, unless a credential has its own.

        Raises:
            UnreadableFile: Their file cannot be read.
        """
        self._key_pairs = key_pairs
        tenants = settings.tenants
        # What the operator gives to every new queue may also be set.
        self._ceilings = QueueLimits(
            max(tenants.queue_max_size_limit, tenants.queue_max_size),
            max(tenants.queue_max_concurrent_limit, tenants.queue_max_concurrent),
            tenants.queue_weight_limit,
        )
        self._key_prefix = settings.store.key_prefix
        self._reuse = settings.jobs.reuse
        self._models = settings.access.models
        policy = Policy(
            models=self._models, ceilings=self._ceilings, key_prefix=self._key_prefix, reuse=self._reuse
        )
        self.anonymous = Principal(id=ANONYMOUS, secret="", policy=policy)
        self._known: _Known = (key_pairs.entries(), {})

    def lookup(self, secret_id: str) -> Principal | None:
        """Return the principal of a SecretId, or ``None`` for an unknown one."""
        entries, principals = self._known
        if (latest := self._key_pairs.entries()) is not entries:
            entries, principals = self._known = (latest, {})
        principal = principals.get(secret_id)
        if principal is None and (entry := entries.get(secret_id)) is not None:
            principal = principals[secret_id] = self._principal(entry)
        return principal

    def _principal(self, entry: Credential) -> Principal:
        policy = Policy(
            buckets=entry.buckets,
            regions=entry.regions,
            operations=entry.allowed_operations,
            queues=entry.queues,
            mq_regions=entry.mq_regions,
            mq_names=entry.mq_names,
            models=self._models if entry.models is None else entry.models,
            ceilings=QueueLimits(
                entry.max_size or self._ceilings.max_size,
                entry.max_concurrent or self._ceilings.max_concurrent,
                entry.max_weight or self._ceilings.weight,
            ),
            rate_limit_per_s=entry.rate_limit_per_s,
            rate_limit_burst=entry.rate_limit_burst,
            weight=entry.weight,
            reuse=self._reuse if entry.reuse is None else entry.reuse,
            budget=Budget(entry.daily_jobs, entry.daily_audio_s),
            key_prefix=self._key_prefix,
        )
        return Principal(
            id=entry.secret_id,
            secret=entry.secret_key.get_secret_value(),
            policy=policy,
            session_token=entry.token.get_secret_value() if entry.token else None,
            expires_at=entry.expires_at,
            require_digest=entry.require_digest,
            signs_callbacks=bool(entry.webhook_secrets),
        )
