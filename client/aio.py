"""The client, for programs with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from stemline.client import batches, callbacks, jobs, queues, templates, usage
from stemline.client.answers import Raw
from stemline.client.async_sender import AsyncSender
from stemline.client.batches import Batch, Row
from stemline.client.call import in_tens, one
from stemline.client.callbacks import Callback
from stemline.client.client import Client
from stemline.client.errors import JobEnded
from stemline.client.job import Execution, Job, Page
from stemline.client.names import DEFAULT_PATTERN
from stemline.client.objects import Progress
from stemline.client.queues import Queue
from stemline.client.retry import Retry
from stemline.client.submission import Submission
from stemline.client.target import Target
from stemline.client.templates import Template
from stemline.client.usage import Usage
from stemline.client.waiting import Waiting


class AsyncClient(AsyncSender):
    """The same as :class:`~stemline.client.client.Client`, with methods to be awaited.

    Files are sent and fetched in threads; ``progress`` is called there.
    """

    def __init__(self, target: Target, *, retry: Retry | None = None, timeout_s: float = 40.0) -> None:
        """Open no connection yet; the arguments are those of :class:`~stemline.client.client.Client`."""
        super().__init__(target, retry=retry, timeout_s=timeout_s)
        self._files = Client(target, retry=retry, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the connections."""
        await super().close()
        self._files.close()

    async def submit(
        self, source: str, *, idempotency_key: str = "", wait_s: float = 0, **parameters: Any
    ) -> Job:
        """Submit a job and return it as it was accepted, or with ``wait_s`` as soon as it has ended."""
        submission = Submission(source, **parameters)
        return await self.submit_as(submission, idempotency_key=idempotency_key, wait_s=wait_s)

    async def dry_run(self, source: str, *, probe: bool = True, **parameters: Any) -> Raw:
        """Check a submission, have a worker probe the source if asked for, and store nothing."""
        submission, target = Submission(source, **parameters), self.target
        return await self.send(jobs.dry_run(submission, target.bucket, target.region, probe=probe))

    async def submit_as(self, submission: Submission, *, idempotency_key: str = "", wait_s: float = 0) -> Job:
        """Submit a job with given parameters."""
        target = self.target
        return await self.send(
            jobs.submit(submission, target.bucket, target.region, key=idempotency_key, wait_s=wait_s)
        )

    async def get(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Return a job; with ``wait_s`` as soon as it has ended, but not later than that."""
        return one(await self.send(jobs.get([job_id], wait_s=wait_s)), job_id, "job")

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return jobs by their ids, without those that the bucket does not have."""
        found: dict[str, Job] = {}
        for ten in in_tens(ids):
            found |= await self.send(jobs.get(ten))
        return found

    async def wait(
        self,
        job_id: str,
        *,
        timeout_s: float | None = None,
        check: bool = True,
        on_change: Callable[[Job], object] | None = None,
    ) -> Job:
        """Wait until a job has ended."""
        waiting = Waiting(timeout_s)
        while True:
            call = jobs.get([job_id], wait_s=0 if on_change else waiting.next_hold_s())
            job = one(await self.send(call, within_s=waiting.within_s()), job_id, "job")
            if on_change is not None:
                on_change(job)
            if job.has_ended:
                if check and not job.succeeded:
                    raise JobEnded(job)
                return job
            await asyncio.sleep(waiting.pause(job))

    async def page(self, **filters: Any) -> Page:
        """Return one page of jobs."""
        return await self.send(jobs.page(**filters))

    async def list(self, **filters: Any) -> AsyncIterator[Job]:
        """Yield all jobs, page by page, latest first."""
        cursor = filters.pop("cursor", "")
        while True:
            page = await self.page(cursor=cursor, **filters)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if not cursor:
                return

    async def cancel(self, *ids: str) -> None:
        """Cancel jobs; of each ten all or none."""
        for ten in in_tens(ids):
            await self.send(jobs.cancel(ten))

    async def retry(self, *ids: str) -> Sequence[Job]:
        """Submit failed or cancelled jobs again and return the new ones; of each ten all or none."""
        return [job for ten in in_tens(ids) for job in await self.send(jobs.retry(ten))]

    async def cancel_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Cancel all jobs that match and have not ended, and return how many."""
        return await self._all(lambda cursor: jobs.cancel_where(dry_run=dry_run, cursor=cursor, **filters))

    async def retry_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Submit all failed and cancelled jobs again that match and were not retried yet."""
        return await self._all(lambda cursor: jobs.retry_where(dry_run=dry_run, cursor=cursor, **filters))

    async def create_batch(
        self,
        rows: Iterable[Row | str] = (),
        *,
        name: str = "",
        manifest: str = "",
        idempotency_key: str = "",
        **parameters: Any,
    ) -> Batch:
        """Submit up to 100,000 jobs as one."""
        target, common = self.target, Submission("", **parameters)
        return await self.send(
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

    async def batch(self, batch_id: str) -> Batch:
        """Return a batch with its counts."""
        return await self.send(batches.get_batch(batch_id))

    def batches(self) -> AsyncIterator[Batch]:
        """Yield all batches, latest first."""
        return self._pages(lambda number: batches.batches(page_number=number))

    async def wait_batch(
        self,
        batch_id: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[Batch], object] | None = None,
    ) -> Batch:
        """Wait until every row of a batch has ended."""
        waiting = Waiting(timeout_s)
        while True:
            batch = await self.send(batches.get_batch(batch_id), within_s=waiting.within_s())
            if on_change is not None:
                on_change(batch)
            if batch.has_ended:
                return batch
            await asyncio.sleep(waiting.pause(batch))

    async def pause_batch(self, batch_id: str) -> Batch:
        """Let none of the jobs of a batch start."""
        return await self.send(batches.pause_batch(batch_id))

    async def resume_batch(self, batch_id: str) -> Batch:
        """Let the jobs of a paused batch start again."""
        return await self.send(batches.resume_batch(batch_id))

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel every row of a batch that has not ended."""
        return await self.send(batches.cancel_batch(batch_id))

    async def retry_batch(self, batch_id: str) -> int:
        """Retry the failed rows of a batch, and return how many."""
        return await self._all(lambda _: batches.retry_batch(batch_id))

    async def usage(self, *, first: date | None = None, last: date | None = None) -> Sequence[Usage]:
        """Return what the jobs of the bucket took, by credential and day."""
        return await self.send(usage.usage(first=first, last=last))

    async def execution(self, job_id: str) -> Execution:
        """Return which attempt at a job runs, or ran last, and where."""
        return await self.send(jobs.execution(job_id))

    async def queues(self) -> Sequence[Queue]:
        """Return the queues of the bucket."""
        return await self.send(queues.queues())

    async def queue(self, name: str = "") -> Queue:
        """Return a queue by its id or name; the bucket's only one if none is given."""
        return queues.chosen(await self.queues(), name)

    async def pause(self, queue: str = "") -> Queue:
        """Stop a queue from starting jobs."""
        return await self.update_queue(queue, State="Paused")

    async def resume(self, queue: str = "") -> Queue:
        """Let a queue start jobs again."""
        return await self.update_queue(queue, State="Active")

    async def update_queue(self, queue: str = "", **changes: Any) -> Queue:
        """Change a queue; the changes are elements of the wire."""
        return await self.send(queues.update_queue(await self.queue(queue), changes))

    def templates(self, *, prefix: str = "") -> AsyncIterator[Template]:
        """Yield all templates, or those whose names begin with a prefix."""
        return self._pages(lambda number: templates.templates(page_number=number, prefix=prefix))

    async def create_template(self, name: str, **parameters: Any) -> Template:
        """Create a template; the parameters are those of a submission about stems and codec."""
        return await self.send(templates.create_template(name, Submission("", **parameters)))

    async def delete_template(self, template_id: str) -> None:
        """Delete a template."""
        await self.send(templates.delete_template(template_id))

    def callbacks(
        self, *, states: Sequence[str] = (), host: str = "", since: datetime | None = None
    ) -> AsyncIterator[Callback]:
        """Yield callbacks, latest first; of every state unless some are given."""
        return self._pages(
            lambda number: callbacks.callbacks(states=states, host=host, since=since, page_number=number)
        )

    async def get_callbacks(self, *ids: str) -> Sequence[Callback]:
        """Return callbacks by their ids or the ids of their jobs, without unknown ones."""
        return [each for ten in in_tens(ids) for each in await self.send(callbacks.get_callbacks(ten))]

    async def send_callbacks(self, *ids: str) -> int:
        """Send callbacks now, whatever their state, of each ten all or none, and return how many."""
        return sum([await self.send(callbacks.send_callbacks(ten)) for ten in in_tens(ids)])

    async def send_callbacks_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Send all callbacks that match now, and return how many; dead letters unless states are given."""
        return (await self.send(callbacks.send_callbacks_where(dry_run=dry_run, **filters))).count

    async def upload(self, path: str | Path, key: str = "", *, progress: Progress | None = None) -> str:
        """Send a file to the bucket and return its key, by default a new one that ends with its name."""
        return await asyncio.to_thread(self._files.upload, path, key, progress=progress)

    async def download(
        self,
        job: Job,
        folder: str | Path,
        *,
        pattern: str = DEFAULT_PATTERN,
        values: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Path]:
        """Fetch the stems of a job and return the files by the names of the stems."""
        return await asyncio.to_thread(
            self._files.download, job, folder, pattern=pattern, values=values, progress=progress
        )
