"""A bound on the request bodies that one process holds in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stemline.jobs.errors import BodiesFull

_RETRY_AFTER_S: Final = 1.0


class BodyBudget:
    """Bytes of request bodies that are held at a time, by credential.

    A credential may hold as much as is still free: one that takes all it can leaves half to the others, a
    second such one a quarter. So large bodies are refused before small ones.
    """

    def __init__(self, limit: int) -> None:
        """Create a budget of ``limit`` bytes."""
        self._free = limit
        self._held: Counter[str] = Counter()

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        """Give one request a share, which is returned at the end."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self.give_back(share.credential, share.size)

    def take(self, credential: str, size: int) -> None:
        """Take bytes from the budget.

        Raises:
            BodiesFull: the credential holds too much already.
        """
        if self._held[credential] + size > self._free:
            raise BodiesFull(retry_after_s=_RETRY_AFTER_S)
        self._add(credential, size)

    def give_back(self, credential: str, size: int) -> None:
        """Return bytes to the budget."""
        self._add(credential, -size)

    def _add(self, credential: str, size: int) -> None:
        self._free -= size
        self._held[credential] += size
        if not self._held[credential]:
            del self._held[credential]


class BodyShare:
    """What the body of one request takes of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.credential = ""
        self.size = 0

    def grow(self, credential: str, size: int) -> None:
        """Make room for ``size`` more bytes of a credential's request.

        Raises:
            BodiesFull: there is none.
        """
        self._budget.take(credential, size)
        self.credential = credential
        self.size += size

    def shrink(self, size: int) -> None:
        """Give room back, of bytes that are not held any more."""
        self._budget.give_back(self.credential, size)
        self.size -= size
