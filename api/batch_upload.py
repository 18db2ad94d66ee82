"""Stores the rows of a new batch, from a request or from an object of the bucket."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from stemline.api.batch_lines import MAX_BYTES, LineSplitter
from stemline.api.bodies import chunks_of
from stemline.api.context import RequestContext
from stemline.api.submitter import check_queues, submitted_by
from stemline.jobs.batch import MAX_ROWS, Batch, BatchState, Row, batch_id, row_spec
from stemline.jobs.callback_target import callback_target
from stemline.jobs.errors import (
    IdempotencyConflict,
    InvalidContent,
    JobFailed,
    QueueNotFound,
    RequestRefused,
    StoreUnavailable,
)
from stemline.jobs.job import JobSpec
from stemline.jobs.output_names import check_output_names
from stemline.jobs.store import QueueFilter
from stemline.storage import TransferCancelled
from stemline.wire import queries
from stemline.wire.batch_request import first_line, read_batch, read_row
from stemline.wire.codec import Tree
from stemline.wire.job_request import job_specs

_MANIFEST_S: Final = 30.0
"""How long the bucket may take to send a manifest, s."""


@dataclass(slots=True)
class BatchUpload:
    """The rows of one request on their way into the store."""

    context: RequestContext
    id: str
    spec: JobSpec
    is_known: bool = False
    """Whether the batch is already complete; its rows are then only compared."""
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
            RequestRefused: One is not valid; says which.
        """
        if self.is_known:
            return
        first = self.rows
        rows = [self._row(line) for line in lines]
        if rows:
            self.context.store.batches.append(self.id, self.context.request_id, first, rows)

    def _row(self, line: bytes) -> Row:
        self.rows += 1
        if self.rows > MAX_ROWS:
            raise RequestRefused(f"A batch may have at most {MAX_ROWS} rows.")
        try:
            row = read_row(line, self.spec)
            check_output_names(row_spec(self._batch, row), keeps_files=self.keeps_files)
        except RequestRefused as error:
            raise type(error)(f"Row {self.rows}: {error.message}") from None
        return row

    def seal(self, digest: str) -> None:
        """Accept the batch, or compare it with the one that was accepted under the same key.

        Raises:
            IdempotencyConflict: That one had another body.
            RequestRefused: There is no row.
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
        """Delete what the request has stored; otherwise it would be kept until it expires."""
        if not self.is_known:
            with suppress(StoreUnavailable):
                self.context.store.batches.drop(self.id, self.context.request_id)


def _begin(context: RequestContext, fields: Tree) -> tuple[BatchUpload, str | None]:
    """Check what the jobs have in common, and begin the batch; return also the key of its manifest."""
    store, tenant = context.store, context.tenant
    context.check_open()
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
    upload = BatchUpload(context, name, spec, is_known=body is not None, body=body or "")
    return upload, own.get("manifest", {}).get("object")


async def from_body(context: RequestContext, request: Request) -> BatchUpload:
    """Read a batch from the lines of the body: the first says what the jobs have in common."""
    digest = hashlib.sha256()
    upload: BatchUpload | None = None
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
    splitter, share = LineSplitter(), context.share
    async with aclosing(chunks_of(request, within_s=context.settings.server.body_timeout_s)) as body:
        async for chunk in body:
            digest.update(chunk)
            share.grow(context.principal.id, len(chunk))
            if lines := splitter.feed(chunk):
                yield lines
                share.shrink(share.size - splitter.held)
    yield splitter.end()


def from_manifest(context: RequestContext) -> BatchUpload:
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
    splitter, buckets = LineSplitter(), context.services.buckets
    try:
        for piece in buckets.pieces(context.tenant, key, max_bytes=MAX_BYTES, within_s=_MANIFEST_S):
            yield splitter.feed(piece)
    except JobFailed as error:
        raise RequestRefused(f"The manifest cannot be read. {error.message}") from None
    except TransferCancelled:
        raise RequestRefused(f"The manifest could not be read within {_MANIFEST_S:.0f} s.") from None
    yield splitter.end()
