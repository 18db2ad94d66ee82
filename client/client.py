"""The client, for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from stemline.client import batches, callbacks, jobs, queues, templates, usage
from stemline.client.answers import Raw
from stemline.client.batches import Batch, Row
from stemline.client.call import in_tens, one
from stemline.client.callbacks import Callback
from stemline.client.errors import JobEnded
from stemline.client.files import Files
from stemline.client.job import Execution, Job, Page
from stemline.client.queues import Queue
from stemline.client.submission import Submission
from stemline.client.templates import Template
from stemline.client.usage import Usage
from stemline.client.waiting import Waiting


class Client(Files):
    """Submits, reads and changes the jobs of one bucket; its methods may be called from several threads.

    ::

        with Client.connect() as client:
            job = client.submit(client.upload("song.mp3"), codec="mp3")
            client.download(client.wait(job.id), "stems")

    Every method may raise :class:`ApiError` for an answer that is an error, and :class:`ConnectionFailed`.
    """

    def submit(self, source: str, *, idempotency_key: str = "", wait_s: float = 0, **parameters: Any) -> Job:
        """Submit a job and return it as it was accepted.

        Args:
            source: Key of an object in the bucket.
            idempotency_key: The same key and parameters within a day give the same job; a new one if empty,
                so that no try of this call makes a second job.
            wait_s: Return when the job has ended, but not later than that; up to 25.
            parameters: Parameters of :class:`Submission`, such as ``stems``, ``codec`` and ``callback``.
        """
        submission = Submission(source, **parameters)
        return self.submit_as(submission, idempotency_key=idempotency_key, wait_s=wait_s)

    def dry_run(self, source: str, *, probe: bool = True, **parameters: Any) -> Raw:
        """Check a submission, have a worker probe the source, and store nothing.

        Args:
            source: Key of an object in the bucket; without a look at it, it need not be there.
            probe: Whether a worker looks at the source; otherwise only the parameters are checked.
            parameters: Parameters of :class:`Submission`.

        Returns:
            ``Source`` and ``Estimate`` as on the wire (docs/beyond-vendor.md).
        """
        submission, target = Submission(source, **parameters), self.target
        return self.send(jobs.dry_run(submission, target.bucket, target.region, probe=probe))

    def submit_as(self, submission: Submission, *, idempotency_key: str = "", wait_s: float = 0) -> Job:
        """Submit a job with given parameters."""
        target = self.target
        return self.send(
            jobs.submit(submission, target.bucket, target.region, key=idempotency_key, wait_s=wait_s)
        )

    def get(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Return a job; with ``wait_s`` as soon as it has ended, but not later than that.

        Raises:
            NotFound: The bucket has no such job.
        """
        return one(self.send(jobs.get([job_id], wait_s=wait_s)), job_id, "job")

    def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return jobs by their ids, without those that the bucket does not have."""
        found: dict[str, Job] = {}
        for ten in in_tens(ids):
            found |= self.send(jobs.get(ten))
        return found

    def wait(
        self,
        job_id: str,
        *,
        timeout_s: float | None = None,
        check: bool = True,
        on_change: Callable[[Job], object] | None = None,
    ) -> Job:
        """Wait until a job has ended.

        Args:
            job_id: Id of the job.
            timeout_s: How long at most; without it, as long as the job takes.
            check: Whether a job that does not succeed is an error.
            on_change: Is called with the job each time it was looked at.

        Raises:
            JobEnded: It ended as Failed or Cancel.
            WaitTimedOut: The time is over; the job goes on.
            ConnectionFailed: The service has not answered in this time.
            NotFound: The bucket has no such job.
        """
        waiting = Waiting(timeout_s)
        while True:
            # A caller that follows the job needs each progress; a held answer would give the end alone.
            call = jobs.get([job_id], wait_s=0 if on_change else waiting.next_hold_s())
            job = one(self.send(call, within_s=waiting.within_s()), job_id, "job")
            if on_change is not None:
                on_change(job)
            if job.has_ended:
                if check and not job.succeeded:
                    raise JobEnded(job)
                return job
            time.sleep(waiting.pause(job))

    def page(self, **filters: Any) -> Page:
        """Return one page of jobs; the filters are those of :func:`stemline.client.jobs.page`."""
        return self.send(jobs.page(**filters))

    def list(self, **filters: Any) -> Iterator[Job]:
        """Yield all jobs, page by page, latest first; the filters are those of :meth:`page`."""
        cursor = filters.pop("cursor", "")
        while True:
            page = self.page(cursor=cursor, **filters)
            yield from page.jobs
            cursor = page.cursor
            if not cursor:
                return

    def cancel(self, *ids: str) -> None:
        """Cancel jobs; of each ten all or none."""
        for ten in in_tens(ids):
            self.send(jobs.cancel(ten))

    def retry(self, *ids: str) -> Sequence[Job]:
        """Submit failed or cancelled jobs again and return the new ones; of each ten all or none."""
        return [job for ten in in_tens(ids) for job in self.send(jobs.retry(ten))]

    def cancel_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Cancel all jobs that match and have not ended, and return how many.

        Args:
            dry_run: Only count them.
            filters: Those of :func:`stemline.client.jobs.where`.
        """
        return self._all(lambda cursor: jobs.cancel_where(dry_run=dry_run, cursor=cursor, **filters))

    def retry_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Submit all failed and cancelled jobs again that match and were not retried yet."""
        return self._all(lambda cursor: jobs.retry_where(dry_run=dry_run, cursor=cursor, **filters))

    def create_batch(
        self,
        rows: Iterable[Row | str] = (),
        *,
        name: str = "",
        manifest: str = "",
        idempotency_key: str = "",
        **parameters: Any,
    ) -> Batch:
        """Submit up to 100,000 jobs as one.

        Args:
            rows: The jobs: keys of their sources, or :class:`~stemline.client.batches.Row` for more.
            name: Up to 128 characters, for people.
            manifest: Key of an object of the bucket whose lines are the rows, instead of ``rows``.
            idempotency_key: The same key and content give the same batch; a new one if empty.
            parameters: Parameters of :class:`Submission`, which all of the jobs have.
        """
        target, common = self.target, Submission("", **parameters)
        return self.send(
            batches.create_batch(
                rows,
                common,
                target.bucket,
                target.region,
                name=name,
                manifest=manifest,
                key=idempotency_key,
            )
        )

    def batch(self, batch_id: str) -> Batch:
        """Return a batch with its counts; ``list(batch=...)`` yields its jobs.

        Raises:
            NotFound: The bucket has no such batch.
        """
        return self.send(batches.get_batch(batch_id))

    def batches(self) -> Iterator[Batch]:
        """Yield all batches, latest first."""
        return self._pages(lambda number: batches.batches(page_number=number))

    def wait_batch(
        self,
        batch_id: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[Batch], object] | None = None,
    ) -> Batch:
        """Wait until every row of a batch has ended; rows may have failed.

        Args:
            batch_id: Id of the batch.
            timeout_s: How long at most; without it, as long as the batch takes.
            on_change: Is called with the batch each time it was looked at.

        Raises:
            WaitTimedOut: The time is over; the batch goes on.
            ConnectionFailed: The service has not answered in this time.
            NotFound: The bucket has no such batch.
        """
        waiting = Waiting(timeout_s)
        while True:
            batch = self.send(batches.get_batch(batch_id), within_s=waiting.within_s())
            if on_change is not None:
                on_change(batch)
            if batch.has_ended:
                return batch
            time.sleep(waiting.pause(batch))

    def pause_batch(self, batch_id: str) -> Batch:
        """Let none of the jobs of a batch start; running ones go on."""
        return self.send(batches.pause_batch(batch_id))

    def resume_batch(self, batch_id: str) -> Batch:
        """Let the jobs of a paused batch start again."""
        return self.send(batches.resume_batch(batch_id))

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel every row of a batch that has not ended."""
        return self.send(batches.cancel_batch(batch_id))

    def retry_batch(self, batch_id: str) -> int:
        """Retry the failed rows of a batch, and return how many."""
        return self._all(lambda _: batches.retry_batch(batch_id))

    def usage(self, *, first: date | None = None, last: date | None = None) -> Sequence[Usage]:
        """Return what the jobs of the bucket took, by credential and day.

        Args:
            first: Day by UTC; 30 days before the last by default.
            last: Day; today by default.
        """
        return self.send(usage.usage(first=first, last=last))

    def execution(self, job_id: str) -> Execution:
        """Return which attempt at a job runs, or ran last, and where.

        Raises:
            NotFound: The bucket has no such job.
        """
        return self.send(jobs.execution(job_id))

    def queues(self) -> Sequence[Queue]:
        """Return the queues of the bucket."""
        return self.send(queues.queues())

    def queue(self, name: str = "") -> Queue:
        """Return a queue by its id or name; the bucket's only one if none is given.

        Raises:
            NotFound: There is no such queue.
        """
        return queues.chosen(self.queues(), name)

    def pause(self, queue: str = "") -> Queue:
        """Stop a queue from starting jobs."""
        return self.update_queue(queue, State="Paused")

    def resume(self, queue: str = "") -> Queue:
        """Let a queue start jobs again."""
        return self.update_queue(queue, State="Active")

    def update_queue(self, queue: str = "", **changes: Any) -> Queue:
        """Change a queue.

        Args:
            queue: Its id or name; the bucket's only one if empty.
            changes: Elements of the wire: ``State``, ``Name``, ``MaxSize``, ``MaxConcurrent`` …
        """
        return self.send(queues.update_queue(self.queue(queue), changes))

    def templates(self, *, prefix: str = "") -> Iterator[Template]:
        """Yield all templates, or those whose names begin with a prefix."""
        return self._pages(lambda number: templates.templates(page_number=number, prefix=prefix))

    def create_template(self, name: str, **parameters: Any) -> Template:
        """Create a template; the parameters are those of :class:`Submission` about stems and codec."""
        return self.send(templates.create_template(name, Submission("", **parameters)))

    def delete_template(self, template_id: str) -> None:
        """Delete a template."""
        self.send(templates.delete_template(template_id))

    def callbacks(
        self, *, states: Sequence[str] = (), host: str = "", since: datetime | None = None
    ) -> Iterator[Callback]:
        """Yield callbacks, latest first; of every state unless some are given."""
        return self._pages(
            lambda number: callbacks.callbacks(states=states, host=host, since=since, page_number=number)
        )

    def get_callbacks(self, *ids: str) -> Sequence[Callback]:
        """Return callbacks by their ids or the ids of their jobs, without unknown ones."""
        return [each for ten in in_tens(ids) for each in self.send(callbacks.get_callbacks(ten))]

    def send_callbacks(self, *ids: str) -> int:
        """Send callbacks now, whatever their state, of each ten all or none, and return how many."""
        return sum(self.send(callbacks.send_callbacks(ten)) for ten in in_tens(ids))

    def send_callbacks_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Send all callbacks that match now, and return how many; dead letters unless states are given.

        Args:
            dry_run: Only count them.
            filters: ``states``, ``host`` and ``since``.
        """
        return self.send(callbacks.send_callbacks_where(dry_run=dry_run, **filters)).count
