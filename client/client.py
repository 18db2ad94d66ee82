"""The client, for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from stemline.client import calls
from stemline.client.errors import ApiError, ConnectionFailed, JobEnded, TransferFailed
from stemline.client.exchange import Exchange, reaching, reason_of
from stemline.client.names import DEFAULT_PATTERN, file_names
from stemline.client.objects import Bucket, Progress, write_whole
from stemline.client.retry import Retry
from stemline.client.sending import send_file
from stemline.client.submission import Submission
from stemline.client.target import Target, find
from stemline.client.values import Callback, Execution, Job, Page, Queue, Template
from stemline.client.waiting import Waiting

T = TypeVar("T")


class Client:
    """Submits, reads and changes the jobs of one bucket; its methods may be called from several threads.

    ::

        with Client.connect() as client:
            job = client.submit(client.upload("song.mp3"), codec="mp3")
            client.download(client.wait(job.id), "stems")

    Every method may raise :class:`ApiError` for an answer that is an error, and :class:`ConnectionFailed`.

    Attributes:
        target: the service, key pair and bucket.
    """

    def __init__(self, target: Target, *, retry: Retry | None = None, timeout_s: float = 40.0) -> None:
        """Open no connection yet.

        Args:
            target: the service, key pair and bucket.
            retry: how long it tries again after connection errors, SlowDown and server errors.
            timeout_s: for each read and write of one request.
        """
        self.target = target
        self._retry = retry or Retry()
        self._exchange = Exchange(target)
        self._http = httpx.Client(**self._exchange.options(timeout_s))
        self._bucket = None if target.s3 is None else Bucket(target.s3, target.bucket, target.region)

    @classmethod
    def connect(cls, *, profile: str = "", **given: str) -> Self:
        """Return a client for the service that :func:`~stemline.client.target.find` finds.

        Args:
            profile: name of a profile.
            given: values of :class:`Target`, such as ``api`` and ``secret_id``.

        Raises:
            NotConfigured: no service is known.
        """
        return cls(find(given, profile=profile))

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._bucket is not None:
            self._bucket.close()

    def send(self, call: calls.Call[T]) -> T:
        """Send a call, again where that may help, and return its answer."""
        tries = self._retry.start(call)
        while True:
            cause: httpx.HTTPError | None = None
            try:
                return self._exchange.read(call, self._http.send(self._exchange.request(call)))
            except httpx.HTTPError as fault:
                error: ApiError | ConnectionFailed = self._exchange.failed(fault)
                cause = fault
            except (ApiError, ConnectionFailed) as answered:
                error = answered
            time.sleep(tries.pause(error, cause))

    def submit(self, source: str, *, idempotency_key: str = "", **parameters: Any) -> Job:
        """Submit a job and return it as it was accepted.

        Args:
            source: key of an object in the bucket.
            idempotency_key: the same key and parameters within a day give the same job; a new one if empty,
                so that no try of this call makes a second job.
            parameters: of :class:`Submission`, such as ``stems``, ``codec`` and ``callback``.
        """
        return self.submit_as(Submission(source, **parameters), idempotency_key=idempotency_key)

    def submit_as(self, submission: Submission, *, idempotency_key: str = "") -> Job:
        """Submit a job with given parameters."""
        return self.send(
            calls.submit(submission, self.target.bucket, self.target.region, key=idempotency_key)
        )

    def get(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Return a job; with ``wait_s`` as soon as it has ended, but not later than that.

        Raises:
            NotFound: the bucket has no such job.
        """
        return calls.one(self.send(calls.get([job_id], wait_s=wait_s)), job_id, "job")

    def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return jobs by their ids, without those that the bucket does not have."""
        found: dict[str, Job] = {}
        for ten in calls.in_tens(ids):
            found |= self.send(calls.get(ten))
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
            job_id: of the job.
            timeout_s: how long at most; without it, as long as the job takes.
            check: whether a job that does not succeed is an error.
            on_change: is called with the job each time it was looked at.

        Raises:
            JobEnded: it ended as Failed or Cancel.
            WaitTimedOut: the time is over; the job goes on.
            NotFound: the bucket has no such job.
        """
        waiting = Waiting(timeout_s)
        while True:
            # Whoever watches wants to see the progress, which a held answer would hide.
            job = self.get(job_id, wait_s=0 if on_change else waiting.next_hold_s())
            if on_change is not None:
                on_change(job)
            if job.has_ended:
                return _checked(job, check=check)
            time.sleep(waiting.pause(job))

    def page(self, **filters: Any) -> Page:
        """Return one page of jobs; the filters are those of :func:`stemline.client.calls.page`."""
        return self.send(calls.page(**filters))

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
        for ten in calls.in_tens(ids):
            self.send(calls.cancel(ten))

    def retry(self, *ids: str) -> Sequence[Job]:
        """Submit failed or cancelled jobs again and return the new ones; of each ten all or none."""
        return [job for ten in calls.in_tens(ids) for job in self.send(calls.retry(ten))]

    def cancel_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Cancel all jobs that match and have not ended, and return how many.

        Args:
            dry_run: only count them.
            filters: those of :func:`stemline.client.calls.where`.
        """
        return self._all(lambda cursor: calls.cancel_where(dry_run=dry_run, cursor=cursor, **filters))

    def retry_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Submit all failed and cancelled jobs again that match and were not retried yet."""
        return self._all(lambda cursor: calls.retry_where(dry_run=dry_run, cursor=cursor, **filters))

    def _all(self, call: Callable[[str], calls.Call[calls.Changed]]) -> int:
        """Send a call until nothing is left, and return how many were changed."""
        count, cursor = 0, ""
        while True:
            part = self.send(call(cursor))
            count, cursor = count + part.count, part.cursor
            if not cursor:
                return count

    def execution(self, job_id: str) -> Execution:
        """Return which attempt at a job runs, or ran last, and where.

        Raises:
            NotFound: the bucket has no such job.
        """
        return self.send(calls.execution(job_id))

    def queues(self) -> Sequence[Queue]:
        """Return the queues of the bucket."""
        return self.send(calls.queues())

    def queue(self, name: str = "") -> Queue:
        """Return a queue by its id or name; the bucket's only one if none is given.

        Raises:
            NotFound: there is no such queue.
        """
        found = self.queues()
        named = {key: queue for queue in found for key in (queue.name, queue.id)}
        return found[0] if found and not name else calls.one(named, name, "queue")

    def pause(self, queue: str = "") -> Queue:
        """Stop a queue from starting jobs."""
        return self.update_queue(queue, State="Paused")

    def resume(self, queue: str = "") -> Queue:
        """Let a queue start jobs again."""
        return self.update_queue(queue, State="Active")

    def update_queue(self, queue: str = "", **changes: Any) -> Queue:
        """Change a queue.

        Args:
            queue: its id or name; the bucket's only one if empty.
            changes: elements of the wire: ``State``, ``Name``, ``MaxSize``, ``MaxConcurrent`` …
        """
        return self.send(calls.update_queue(self.queue(queue), changes))

    def templates(self, *, prefix: str = "") -> Iterator[Template]:
        """Yield all templates, or those whose names begin with a prefix."""
        number, seen = 1, 0
        while True:
            found, total = self.send(calls.templates(page_number=number, prefix=prefix))
            yield from found
            number, seen = number + 1, seen + len(found)
            if not found or seen >= total:
                return

    def create_template(self, name: str, **parameters: Any) -> Template:
        """Create a template; the parameters are those of :class:`Submission` about stems and codec."""
        return self.send(calls.create_template(name, Submission("", **parameters)))

    def delete_template(self, template_id: str) -> None:
        """Delete a template."""
        self.send(calls.delete_template(template_id))

    def callbacks(
        self, *, states: Sequence[str] = (), host: str = "", since: datetime | None = None
    ) -> Iterator[Callback]:
        """Yield callbacks, latest first; of every state unless some are given."""
        number, seen = 1, 0
        while True:
            found, total = self.send(
                calls.callbacks(states=states, host=host, since=since, page_number=number)
            )
            yield from found
            number, seen = number + 1, seen + len(found)
            if not found or seen >= total:
                return

    def get_callbacks(self, *ids: str) -> Sequence[Callback]:
        """Return callbacks by their ids or the ids of their jobs, without unknown ones."""
        return [each for ten in calls.in_tens(ids) for each in self.send(calls.get_callbacks(ten))]

    def send_callbacks(self, *ids: str) -> int:
        """Send callbacks now, whatever their state, of each ten all or none, and return how many."""
        return sum(self.send(calls.send_callbacks(ten)) for ten in calls.in_tens(ids))

    def send_callbacks_where(self, *, dry_run: bool = False, **filters: Any) -> int:
        """Send all callbacks that match now, and return how many; dead letters unless states are given.

        Args:
            dry_run: only count them.
            filters: ``states``, ``host`` and ``since``.
        """
        return self.send(calls.send_callbacks_where(dry_run=dry_run, **filters)).count

    @property
    def bucket(self) -> Bucket:
        """The bucket over S3.

        Raises:
            TransferFailed: the client has no access to it.
        """
        if self._bucket is None:
            raise TransferFailed(
                f"{self.target.origin} gives no access to the bucket {self.target.bucket}: "
                "set AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL_S3, or add it with `stemline login`"
            )
        return self._bucket

    def upload(self, path: str | Path, key: str = "", *, progress: Progress | None = None) -> str:
        """Send a file to the bucket and return its key.

        Args:
            path: of the file.
            key: that it gets, by default ``uploads/<name>``. Without access to the bucket the file is sent
                through URLs of the service, which chooses the key.
            progress: called with the bytes sent.

        Raises:
            TransferFailed: it could not be sent.
        """
        file = Path(path)
        if self._bucket is None:
            return send_file(self, file, progress)
        key = key or f"uploads/{file.name}"
        self.bucket.upload(file, key, progress)
        return key

    def download(
        self,
        job: Job,
        folder: str | Path,
        *,
        pattern: str = DEFAULT_PATTERN,
        values: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Path]:
        """Fetch the stems of a job, through links of the service where the bucket is not accessible.

        Args:
            job: that has succeeded.
            folder: where the files are put.
            pattern: of their names: ``{stem}``, ``{name}``, ``{dir}``, ``{jobid}`` and ``{ext}``.
            values: other values for these names.
            progress: called with the bytes received.

        Returns:
            The files by the names of the stems.

        Raises:
            TransferFailed: a stem could not be fetched.
        """
        paths = file_names(job, Path(folder), pattern, values)
        links = {} if self._bucket is not None else self.send(calls.links(job.id))
        for stem in job.stems:
            path = paths[stem.name]
            if self._bucket is not None and stem.bucket == self._bucket.name:
                self._bucket.download(stem.key, path, md5=stem.md5, progress=progress)
            else:
                links = links or self.send(calls.links(job.id))
                self._fetch(links.get(stem.key, ""), path, md5=stem.md5, progress=progress)
        return paths

    @staticmethod
    def _fetch(url: str, path: Path, *, md5: str, progress: Progress | None) -> None:
        try:
            with httpx.stream("GET", url, timeout=40, **reaching(url)) as response:
                response.raise_for_status()
                write_whole(path, response.iter_bytes(), md5=md5, progress=progress)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise TransferFailed(f"{path.name} could not be fetched: {reason_of(error)}") from error


def _checked(job: Job, *, check: bool) -> Job:
    if check and not job.succeeded:
        raise JobEnded(job)
    return job
