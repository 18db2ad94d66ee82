"""Protocol of what is done with one attempt at a job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from stemline.jobs.job import Job, Result, Waveform
from stemline.jobs.serving import COMMON
from stemline.jobs.store.values import Reuse, Uploads


class AttemptRepository(Protocol):
    """Attempts at jobs, from the claim to the end, and those whose worker is gone.

    Every write carries the fencing token of the claim and is refused once the token is stale.
    """

    def claim(self, worker: str, levels: Sequence[int], serves: Collection[str] = COMMON) -> Job | None:
        """Give the best waiting job of these levels that a worker can do to it, with a lease.

        The highest level goes first, then the queue that was served longest ago, then the oldest job.

        Args:
            worker: Who claims.
            levels: Levels that it takes.
            serves: Models and modes that it can do; see ``JobSpec.wants``.
        """
        ...

    def heartbeat(
        self,
        job_id: str,
        token: int,
        progress: int,
        device: str = "",
        stage: str = "",
        *,
        remaining_s: float | None = None,
    ) -> bool:
        """Extend the lease and record the progress.

        Args:
            job_id: The claimed job.
            token: Fencing token of the claim.
            progress: 0 to 100.
            device: What the separation runs on; empty to keep the recorded value.
            stage: What the worker does.
            remaining_s: In how many seconds it expects the end; ``None`` to keep what it expected.

        Returns:
            Whether the job is to be cancelled.

        Raises:
            LeaseLost: The token is stale.
        """
        ...

    def register_uploads(self, job_id: str, token: int, uploads: Sequence[Mapping[str, Any]]) -> None:
        """Record the attempt's uploads, so that the process that ends the attempt can remove them.

        Raises:
            LeaseLost: The token is stale.
        """
        ...

    def reuse(self, job_id: str, token: int, digest: str, *, without: str = "") -> Reuse:
        """Look for a job of the same tenant that is equal to a claimed one.

        If one runs, the claimed job returns to its queue without a counted attempt, and goes on when that one
        has ended. If there is none, equal jobs wait for this one from now on.

        Args:
            job_id: The claimed job.
            token: Its fencing token.
            digest: Digest of its source and of all that decides its stems.
            without: Id of a job whose stems cannot be used.

        Raises:
            CancelAsked: The job is to be cancelled.
            LeaseLost: The token is stale.
        """
        ...

    def succeed(
        self, job: Job, result: Result, waveforms: Sequence[Waveform] = (), *, digest: str = ""
    ) -> None:
        """End a job as ``Success``, keep its waveforms, and put its callback into the outbox.

        Repeating the call of the same attempt does nothing.

        Args:
            job: The claimed job.
            result: Its stems.
            waveforms: Waveforms of source and stems.
            digest: Under which equal jobs find it; empty if they may not use its stems.

        Raises:
            CancelAsked: The job is to be cancelled; remove its uploads and confirm the cancel instead.
            LeaseLost: The token is stale.
        """
        ...

    def fail(self, job: Job, code: str, message: str, *, leftovers: Uploads = ()) -> None:
        """End a job as ``Failed`` and put its callback into the outbox.

        Repeating the call of the same attempt does nothing.

        Args:
            job: The claimed job.
            code: Code of the failure, on the wire.
            message: For people.
            leftovers: Uploads that could not be removed from their bucket; a later sweep removes them.

        Raises:
            LeaseLost: The token is stale.
        """
        ...

    def confirm_cancel(self, job: Job, *, leftovers: Uploads = ()) -> None:
        """End a job as ``Cancel``, after its uploads have been removed, or else recorded as for ``fail``.

        Raises:
            LeaseLost: The token is stale.
        """
        ...

    def release(
        self,
        job: Job,
        *,
        delay_s: float = 0.0,
        counts: bool = False,
        reason: str = "",
        leftovers: Uploads = (),
    ) -> None:
        """Return a running job to its place in the queue.

        Args:
            job: The claimed job.
            delay_s: How long it may not be claimed, s.
            counts: Whether the attempt counts towards the maximum.
            reason: Why the job waits, which its record shows until it is claimed again.
            leftovers: As for ``fail``.

        Raises:
            CancelAsked: The job is to be cancelled; confirm that instead.
            LeaseLost: The token is stale.
        """
        ...

    def expired(self, limit: int = 100) -> list[str]:
        """Return ids of running jobs whose lease has expired."""
        ...

    def reclaim(self, job_id: str, sweeper: str) -> Job | None:
        """Give a job whose lease has expired to a sweeper, with a lease and a new fencing token.

        Returns:
            The job, or ``None`` if its lease is valid or the job does not run any more.
        """
        ...
