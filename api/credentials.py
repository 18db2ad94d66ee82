"""Credentials from the settings and the credentials file, and the permissions of each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from stemline.jobs.errors import Forbidden
from stemline.runtime.settings import Credential, Settings

ANONYMOUS = "anonymous"
_CREDENTIALS = TypeAdapter(tuple[Credential, ...])
_CHECK_INTERVAL_S = 2.0


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


class Credentials:
    """All principals by SecretId; a changed credentials file is read again within seconds."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = {entry.secret_id: _principal(entry) for entry in settings.access.credentials}
        self._file = settings.access.credentials_file
        self._principals = dict(self._fixed)
        self._stamp: tuple[int, int] | None = None
        self._checked_at = 0.0
        self._refresh(strict=True)

    def lookup(self, secret_id: str) -> Principal | None:
        """Return the principal of a SecretId, or ``None`` for an unknown one."""
        if self._file is not None and time.monotonic() - self._checked_at > _CHECK_INTERVAL_S:
            self._refresh()
        return self._principals.get(secret_id)

    def _refresh(self, *, strict: bool = False) -> None:
        """Read the file again if it changed; while it cannot be read, the previous keys stay valid."""
        self._checked_at = time.monotonic()
        if self._file is None:
            return
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            entries = _CREDENTIALS.validate_json(Path(self._file).read_bytes())
        except (OSError, ValueError):
            if strict:
                raise
            return
        self._stamp = stamp
        self._principals = {entry.secret_id: _principal(entry) for entry in entries} | self._fixed


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
