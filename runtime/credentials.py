"""Credentials from the settings and from files, which are read again when they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError

from stemline.jobs.reasons import reason_of
from stemline.runtime.errors import UnreadableFile
from stemline.runtime.redaction import secrets_of
from stemline.runtime.settings import BucketAccess, Credential, Settings
from stemline.runtime.settings.values import KeyPairs
from stemline.runtime.settings.variables import has_placeholder

log = structlog.get_logger(__name__)

CHECK_INTERVAL_S: Final = 1.0
"""How often a file is checked for changes at most, s."""

_KEY_PAIRS: Final = TypeAdapter(KeyPairs)
_BUCKETS: Final = TypeAdapter(dict[str, BucketAccess])

Entry = TypeVar("Entry", bound=BaseModel)


class _NoEntries(ValueError):
    """it has no entries any more"""  # noqa: D415 - a reason, after the name of the file


class _Placeholder(ValueError):
    """a secret in it is still change-me, as in the example"""  # noqa: D415 - likewise


class CredentialFile(Generic[Entry]):
    """Entries of a JSON file and of the settings, which take precedence; safe to share between threads."""

    def __init__(
        self,
        path: Path | None,
        parse: Callable[[bytes], Mapping[str, Entry]],
        fixed: Mapping[str, Entry],
        *,
        may_become_empty: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read; the file is read at first use.

        Args:
            path: The file, if there is one.
            parse: Reads its entries; raises ValueError if it holds something else.
            fixed: Entries of the settings.
            may_become_empty: Whether a file without entries replaces one that has some.
            clock: Seconds, never backwards.
        """
        self._path = path
        self._parse = parse
        self._fixed = fixed
        self._may_become_empty = may_become_empty
        self._clock = clock
        self._lock = threading.RLock()
        self._next_check = float("-inf")
        self._version: tuple[int, int, int] | None = None
        self._entries: Mapping[str, Entry] | None = None if path else fixed
        self._error: UnreadableFile | None = None
        self._fixed_secrets = frozenset(secrets_of(fixed))
        self._latest_secrets = self._fixed_secrets
        self._secrets = self._fixed_secrets

    def entries(self) -> Mapping[str, Entry]:
        """Return all entries by name, from the file as it is now.

        While a changed file cannot be read, the entries it had before stay valid.

        Raises:
            UnreadableFile: It has never been readable.
        """
        # While one thread reads a file of thousands of entries again, the others go on with those of before.
        if (
            self._path is not None
            and self._clock() >= self._next_check
            and self._lock.acquire(blocking=self._entries is None)
        ):
            try:
                if self._clock() >= self._next_check:
                    self._check(self._path)
            finally:
                self._lock.release()
        if self._entries is None:
            assert self._error is not None  # noqa: S101 - set by the first check
            raise self._error
        return self._entries

    def secrets(self) -> frozenset[str]:
        """Return the secrets of the entries and of those they replaced; the same object until they change."""
        with suppress(UnreadableFile):
            self.entries()
        return self._secrets

    def _check(self, path: Path) -> None:
        # A log line asks for the secrets, and so for another check: write it only after the result is kept.
        self._next_check = self._clock() + CHECK_INTERVAL_S
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version == self._version:
                return
            read = self._parse(path.read_bytes())
            if not read and self._entries and not self._may_become_empty:
                raise _NoEntries
            if has_placeholder(read):
                raise _Placeholder
        except (OSError, ValueError) as error:
            self._keep(path, UnreadableFile(path, _reason(error)))
            return
        secrets = self._fixed_secrets.union(secrets_of(read))
        self._secrets, self._latest_secrets = secrets | self._latest_secrets, secrets
        is_first = self._entries is None
        self._entries = {**read, **self._fixed}
        self._version, self._error = version, None
        if not is_first:
            log.info("credentials.reloaded", path=str(path), entries=len(read))

    def _keep(self, path: Path, error: UnreadableFile) -> None:
        """Keep the entries there are; report an error once, not at every check."""
        is_new = self._error is None or self._error.reason != error.reason
        self._error = error
        if self._entries is not None and is_new:
            log.error("credentials.not_reloaded", path=str(path), reason=error.reason)


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """The credentials of a process: its clients' key pairs, and its own access to buckets."""

    key_pairs: CredentialFile[Credential]
    """By SecretId."""
    buckets: CredentialFile[BucketAccess]
    """By bucket name; ``*`` is for all others."""

    @classmethod
    def of(cls, settings: Settings) -> CredentialFiles:
        """Return those that the settings name."""
        access, storage = settings.access, settings.storage
        return cls(
            CredentialFile(access.credentials_file, _parse_key_pairs, _by_id(access.credentials)),
            # An empty one is a mistake, unlike one that revokes the last key pair of clients.
            CredentialFile(
                storage.buckets_file, _BUCKETS.validate_json, storage.buckets, may_become_empty=False
            ),
        )

    def check(self) -> None:
        """Read the files.

        Raises:
            UnreadableFile: One cannot be read.
        """
        self.key_pairs.entries()
        self.buckets.entries()

    def warn_without_buckets(self) -> None:
        """Warn of a process that cleans up in buckets and knows none: what dead attempts left stays there."""
        if not self.buckets.entries():
            log.warning("buckets.not_configured")


def _parse_key_pairs(content: bytes) -> Mapping[str, Credential]:
    return _by_id(_KEY_PAIRS.validate_json(content))


def _by_id(credentials: tuple[Credential, ...]) -> Mapping[str, Credential]:
    return {credential.secret_id: credential for credential in credentials}


def _reason(error: OSError | ValueError) -> str:
    """Return what is wrong with a file, without what it holds."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    if isinstance(error, OSError):
        return reason_of(error)
    return (error.__doc__ or "") if isinstance(error, _NoEntries | _Placeholder) else reason_of(error)
