"""Changes of stored data that a release needs before or after it is rolled out.

A migration of the phase ``pre`` prepares data for the new release while the old one serves: it only adds what
the old release ignores. A migration of the phase ``post`` runs once no process of the old release is left: it
converts records, or removes what is not read any more. Each migration may be interrupted and run again.
``docs/operations.md`` describes the rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stemline.jobs.store.connection import Connection


class Phase(StrEnum):
    """When a migration runs, relative to the rollout of its release."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of stored data."""

    name: str
    """Recorded in the store; never changes."""
    phase: Phase
    summary: str
    """What it does, in one line for the operator."""
    apply: Callable[[Connection], None]
    """Makes the change; may be interrupted and repeated."""


MIGRATIONS: tuple[Migration, ...] = ()
"""All migrations in the order of their releases. Version 1 of the records is the first, so there are none."""


class PreMigrationsPending(Exception):
    """Migrations of the phase pre are pending; apply them and roll out the release first."""


class Migrations:
    """Applies migrations to a store, in order, and records which ones were applied."""

    def __init__(self, connection: Connection, known: Sequence[Migration] | None = None) -> None:
        """Use a store.

        Args:
            connection: Connection of the store.
            known: All migrations in order; those of this release if not given.
        """
        self._connection = connection
        self._known = MIGRATIONS if known is None else known

    def pending(self, phase: Phase) -> list[Migration]:
        """Return the migrations of a phase that are not applied yet, in order.

        Raises:
            StoreUnavailable: The server cannot be reached.
        """
        connection = self._connection
        applied = connection.read(connection.client.hkeys, connection.key("migrations"))
        return [each for each in self._known if each.phase is phase and each.name not in applied]

    def apply(self, phase: Phase) -> list[Migration]:
        """Apply the pending migrations of a phase and return them.

        Raises:
            PreMigrationsPending: The phase is ``post`` and migrations of the phase ``pre`` are pending.
            StoreUnavailable: The server cannot be reached.
        """
        if phase is Phase.POST and self.pending(Phase.PRE):
            raise PreMigrationsPending(" ".join((PreMigrationsPending.__doc__ or "").split()))
        connection, done = self._connection, self.pending(phase)
        for migration in done:
            migration.apply(connection)
            applied_at = connection.now()
            connection.read(connection.client.hset, connection.key("migrations"), migration.name, applied_at)
        return done
