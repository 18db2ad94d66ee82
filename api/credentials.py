"""The permissions of each credential."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.errors import Forbidden
from stemline.runtime.credentials import CredentialFile
from stemline.runtime.settings import Credential

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a credential: its key and permissions."""

    id: str
    secret: str
    buckets: frozenset[str]
    """Bucket names with APPID; ``*`` allows every bucket."""
    read_only: bool = False
    session_token: str | None = None
    expires_at: int | None = None

    def may_use(self, bucket: str) -> bool:
        """Return whether the credential may use a bucket."""
        return "*" in self.buckets or bucket in self.buckets

    def check(self, *, bucket: str | None, write: bool) -> None:
        """Check the permissions for a request.

        Raises:
            Forbidden: the bucket is not allowed, or a read-only credential is used for a change.
        """
        if bucket is not None and not self.may_use(bucket):
            raise Forbidden("This credential may not use the bucket.")
        if write and self.read_only:
            raise Forbidden("This credential may only read.")


class Principals:
    """The principals of all credentials, by SecretId."""

    def __init__(self, key_pairs: CredentialFile[Credential]) -> None:
        """Read the credentials.

        Raises:
            UnreadableFile: their file cannot be read.
        """
        self._key_pairs = key_pairs
        key_pairs.entries()

    def lookup(self, secret_id: str) -> Principal | None:
        """Return the principal of a SecretId, or ``None`` for an unknown one."""
        entry = self._key_pairs.entries().get(secret_id)
        return None if entry is None else _principal(entry)


def anonymous() -> Principal:
    """Return the principal of unsigned requests, for installations that allow them."""
    return Principal(id=ANONYMOUS, secret="", buckets=frozenset({"*"}))


def _principal(entry: Credential) -> Principal:
    return Principal(
        id=entry.secret_id,
        secret=entry.secret_key.get_secret_value(),
        buckets=frozenset(entry.buckets),
        read_only=entry.read_only,
        session_token=entry.token.get_secret_value() if entry.token else None,
        expires_at=entry.expires_at,
    )
