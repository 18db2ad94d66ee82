"""Who may sign: the key pairs of the settings and of the credentials file, and what each of them may do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from stemline.jobs.errors import Forbidden
from stemline.runtime.settings import Credential, Settings

ANONYMOUS = "anonymous"
_CREDENTIALS = TypeAdapter(tuple[Credential, ...])
_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who sends requests."""

    id: str
    secret: str
    buckets: frozenset[str]
    """Names with APPID; ``*`` is every one."""
    read_only: bool = False
    session_token: str | None = None
    expires_at: int | None = None

    def may_use(self, bucket: str) -> bool:
        """Whether the bucket is among its own."""
        return "*" in self.buckets or bucket in self.buckets

    def check(self, *, bucket: str | None, write: bool) -> None:
        """Refuse what lies outside its scope.

        Raises:
            Forbidden: another bucket, or a change by a read-only credential.
        """
        if bucket is not None and not self.may_use(bucket):
            raise Forbidden("This credential may not use the bucket.")
        if write and self.read_only:
            raise Forbidden("This credential may only read.")


class Credentials:
    """All principals by SecretId; a changed file is noticed within seconds, so that keys rotate."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = {entry.secret_id: _principal(entry) for entry in settings.access.credentials}
        self._file = settings.access.credentials_file
        self._principals = dict(self._fixed)
        self._stamp: tuple[int, int] | None = None
        self._looked_at = 0.0
        self._refresh(strict=True)

    def lookup(self, secret_id: str) -> Principal | None:
        """The principal of a SecretId."""
        if self._file is not None and time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
            self._refresh()
        return self._principals.get(secret_id)

    def _refresh(self, *, strict: bool = False) -> None:
        """Read the file again if it changed; a file that is broken for a moment keeps the old keys valid."""
        self._looked_at = time.monotonic()
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
    """The principal of unsigned requests, where they are allowed."""
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
