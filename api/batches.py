"""Batches: many jobs that are submitted, watched and stopped as one (docs/beyond-vendor.md)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import ReadContext, StreamContext, WriteContext, is_lines
from stemline.api.bodies import chunks_of
from stemline.api.bulk import retry_all
from stemline.api.context import RequestContext
from stemline.api.jobs import check_queues, submitted_by
from stemline.api.routing import Router
from stemline.jobs.batch import MOST_ROWS, Batch, BatchState, Row, batch_id, row_spec
from stemline.jobs.callback_target import callback_target
from stemline.jobs.errors import (
    IdempotencyConflict,
    InvalidContent,
    JobFailed,
    NoSuchBatch,
    QueueNotFound,
    RequestRefused,
    StoreUnavailable,
)
from stemline.jobs.file_names import check_file_names
from stemline.jobs.job import JobSpec
from stemline.jobs.kept_source import check_source_is_kept
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, QueueFilter
from stemline.storage import TransferCancelled
from stemline.wire import queries, views
from stemline.wire.batch_request import first_line, read_batch, read_row
from stemline.wire.codec import Tree
from stemline.wire.job_request import job_specs

router = Router()

MAX_BYTES: Final = 64 << 20
"""Largest body or manifest with rows, bytes."""
MAX_LINE: Final = 16 << 10
_MANIFEST_S: Final = 30.0
"""How long the bucket may take to send a manifest, s."""
_PART_BYTES: Final = 64 << 10
"""Rows are stored when so much of them has arrived, so the memory of a request does not grow with them."""


@router.post("/batches", name="create_batch")
async def create_batch(context: StreamContext, request: Request) -> Response:
    """Create a batch of up to 100,000 rows, from the lines of the body or of an object of the bucket."""
    if is_lines(context.headers):
        upload = await _from_body(context, request)
    else:
        upload = await context.at_store(request, lambda: _from_manifest(context))
    batch = await run_in_threadpool(_known, context, upload.id)
    return context.respond(views.BATCH_ANSWER, batch=batch)


@router.get("/batches", name="list_batches")
async def list_batches(context: ReadContext, request: Request) -> Response:
    """List the batches of the bucket, the latest first."""
    query = queries.BATCHES.read_parameters(context.query)
    return await context.of_page(request, query["size"], lambda: _list(context, query))


def _list(context: RequestContext, query: dict[str, Any]) -> Response:
    found = context.store.batches.search(context.tenant, **query)
    return context.respond(views.BATCH_LIST, items=found.items, total=found.total, **query)


@router.get("/batches/{batch}", name="get_batch")
def get_batch(context: ReadContext, batch: str) -> Response:
    """Return a batch with its counts."""
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/pause", name="pause_batch")
def pause_batch(context: WriteContext, batch: str) -> Response:
    """Let no further job of the batch start; running ones go on."""
    _changeable(context, batch)
    context.store.batches.pause(context.tenant, batch)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/resume", name="resume_batch")
def resume_batch(context: WriteContext, batch: str) -> Response:
    """Let the jobs of a paused batch start again."""
    _changeable(context, batch)
    context.store.batches.resume(context.tenant, batch)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/cancel", name="cancel_batch")
async def cancel_batch(context: WriteContext, request: Request, batch: str) -> Response:
    """Cancel every row of the batch that has not ended."""
    return await context.of_many_records(request, lambda: _cancel(context, batch))


def _cancel(context: RequestContext, batch: str) -> Response:
    jobs, tenant = context.store.jobs, context.tenant
    _changeable(context, batch)
    context.store.batches.cancel(tenant, batch)
    which = JobFilter(batch=batch, order="Asc", size=250)
    while (part := jobs.cancel_where(tenant, which)).cursor is not None:
        which = replace(which, cursor=part.cursor)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/retry", name="retry_batch")
async def retry_batch(context: WriteContext, request: Request, batch: str) -> Response:
    """Retry the failed rows of the batch, which then count for their new jobs."""
    return await context.of_many_records(request, lambda: _retry(context, batch))


def _retry(context: RequestContext, batch: str) -> Response:
    known = _changeable(context, batch)
    return retry_all(context, JobFilter(batch=known.id, states=frozenset({State.FAILED})))


def _known(context: RequestContext, batch: str) -> Batch:
    found = context.store.batches.get(context.tenant, batch)
    if found is None:
        raise NoSuchBatch
    return found


def _changeable(context: RequestContext, batch: str) -> Batch:
    """Return a batch whose queue the credential may use."""
    known = _known(context, batch)
    check_queues(context, {known.spec.queue_id})
    return known


@dataclass(slots=True)
class _Upload:
    """The rows of one request on their way into the store."""

    context: RequestContext
    id: str
    spec: JobSpec
    is_known: bool = False
    """Whether the batch is complete already: then its rows are only compared."""
    body: str = ""
    """SHA-256 of the complete batch."""
    rows: int = 0
    keeps_files: bool = field(init=False)
    _batch: Batch = field(init=False)

    def __post_init__(self) -> None:
        output = self.spec.output
        self._batch = Batch(self.id, self.spec.tenant, "", self.spec, BatchState.LOADING, 0)
        self.keeps_files = self.context.services.buckets.keeps_files(output.region, output.bucket)

    def add(self, lines: Iterable[bytes]) -> None:
        """Check and store some rows.

        Raises:
            RequestRefused: one is not valid; says which.
        """
        if self.is_known:
            return
        first = self.rows
        rows = [self._row(line) for line in lines]
        if rows:
            self.context.store.batches.append(self.id, self.context.request_id, first, rows)

    def _row(self, line: bytes) -> Row:
        self.rows += 1
        if self.rows > MOST_ROWS:
            raise RequestRefused(f"A batch may have at most {MOST_ROWS} rows.")
        try:
            row = read_row(line, self.spec)
            spec = row_spec(self._batch, row)
            if self.keeps_files:
                check_file_names(spec)
            check_source_is_kept(spec, folds_names=self.keeps_files)
        except RequestRefused as error:
            raise type(error)(f"Row {self.rows}: {error.message}") from None
        return row

    def seal(self, digest: str) -> None:
        """Accept the batch, or compare it with the one that the key stands for.

        Raises:
            IdempotencyConflict: that one had another body.
            RequestRefused: there is no row.
        """
        if self.is_known:
            if digest != self.body:
                raise IdempotencyConflict
            return
        if not self.rows:
            raise RequestRefused("A batch needs rows.")
        self.context.store.batches.seal(
            self.id,
            self.context.request_id,
            digest,
            credential=self.spec.credential,
            budget=self.context.policy.budget,
        )

    def drop(self) -> None:
        """Forget what the request has stored; without this it would be held until it expires."""
        if not self.is_known:
            with suppress(StoreUnavailable):
                self.context.store.batches.drop(self.id, self.context.request_id)


def _begin(context: RequestContext, fields: Tree) -> tuple[_Upload, str | None]:
    """Check what the jobs have in common, and begin the batch; return also the key of its manifest."""
    store, tenant = context.store, context.tenant
    context.check_open()
    context.watch_budget()
    context.check_budget()  # before rows are stored; all of them are counted when the batch is complete
    own, job_fields = read_batch(fields)
    specs = job_specs(
        job_fields, tenant, lambda name: store.templates.get(tenant, name), mq_regions=context.mq_regions
    )
    if len(specs) != 1:
        raise RequestRefused("A batch has one Operation.")
    spec = submitted_by(context, specs[0])
    check_queues(context, {spec.queue_id})
    ids = (spec.queue_id,) if spec.queue_id else ()
    queues = store.queues.search(tenant, QueueFilter(ids=ids)).items
    if not queues:
        raise QueueNotFound
    key = queries.RETRY_HEADERS.read_parameters(context.headers).get("key")
    name = batch_id(tenant, key) if key else "b" + secrets.token_hex(16)
    context.open_tenant()
    target = callback_target(spec, queues[0].notify)
    body = store.batches.begin(name, own["name"], spec, target, context.request_id)
    upload = _Upload(context, name, spec, is_known=body is not None, body=body or "")
    return upload, own.get("manifest", {}).get("object")


async def _from_body(context: RequestContext, request: Request) -> _Upload:
    """Read a batch from the lines of the body: the first says what the jobs have in common."""
    digest = hashlib.sha256()
    upload: _Upload | None = None
    try:
        async for lines in _lines(context, request, digest):
            if upload is None and lines:
                upload, _ = await run_in_threadpool(_begin, context, first_line(lines.pop(0)))
            if upload is not None:
                await run_in_threadpool(upload.add, lines)
        if upload is not None:
            await context.accept_body(digest.hexdigest())
            await run_in_threadpool(upload.seal, digest.hexdigest())
    except BaseException:
        if upload is not None:
            await run_in_threadpool(upload.drop)
        raise
    if upload is None:
        raise InvalidContent("The request body has no lines.")
    return upload


async def _lines(context: RequestContext, request: Request, digest: Any) -> AsyncIterator[list[bytes]]:
    """Yield the lines of the body in parts, and add its bytes to the digest."""
    splitter, share = _Splitter(), context.share
    async with aclosing(chunks_of(request, within_s=context.settings.server.body_timeout_s)) as body:
        async for chunk in body:
            digest.update(chunk)
            share.grow(context.principal.id, len(chunk))
            if lines := splitter.feed(chunk):
                yield lines
                share.shrink(share.size - splitter.held)
    yield splitter.end()


class _Splitter:
    """Splits bytes into lines that are not blank, and gives them out in parts."""

    def __init__(self) -> None:
        self._held = bytearray()
        """Not split before there are enough: short lines take much more memory than their bytes."""
        self._total = 0

    @property
    def held(self) -> int:
        """Bytes that are held."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return lines once there are enough for a part.

        Raises:
            InvalidContent: a line, or all of them, is too long.
        """
        self._total += len(data)
        self._held += data
        if self._total > MAX_BYTES:
            raise InvalidContent(f"The rows are larger than {MAX_BYTES} bytes.")
        end = self._held.rfind(b"\n") + 1
        _check_line(len(self._held) - end)
        return self._take(end) if len(self._held) >= _PART_BYTES else []

    def end(self) -> list[bytes]:
        """Return the lines that are left."""
        return self._take(len(self._held))

    def _take(self, end: int) -> list[bytes]:
        lines = bytes(self._held[:end]).split(b"\n")
        del self._held[:end]
        _check_line(max(map(len, lines)))
        return [line for line in lines if line.strip()]


def _check_line(length: int) -> None:
    """Raise the error of a line that is too long."""
    if length > MAX_LINE:
        raise InvalidContent(f"A line is longer than {MAX_LINE} bytes.")


def _from_manifest(context: RequestContext) -> _Upload:
    """Read a batch whose rows are the lines of an object of the bucket."""
    upload, key = _begin(context, context.fields())
    if key is None:
        upload.drop()
        raise RequestRefused("A batch needs a Manifest, or its rows as application/x-ndjson.")
    try:
        if not upload.is_known:
            for lines in _object_lines(context, key):
                upload.add(lines)
        upload.seal(hashlib.sha256(context.body).hexdigest())
    except BaseException:
        upload.drop()
        raise
    return upload


def _object_lines(context: RequestContext, key: str) -> Iterator[list[bytes]]:
    splitter, buckets = _Splitter(), context.services.buckets
    try:
        for piece in buckets.pieces(context.tenant, key, max_bytes=MAX_BYTES, within_s=_MANIFEST_S):
            yield splitter.feed(piece)
    except JobFailed as error:
        raise RequestRefused(f"The manifest cannot be read. {error.message}") from None
    except TransferCancelled:
        raise RequestRefused(f"The manifest could not be read within {_MANIFEST_S:.0f} s.") from None
    yield splitter.end()
