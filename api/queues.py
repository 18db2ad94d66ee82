"""The speech queue of a bucket: ``/asrqueue`` and its alias ``/queue`` (docs/wire/wire.md, 6.1 to 6.4)."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from starlette.responses import Response

from stemline.api.admission import ReadContext, WriteContext
from stemline.api.changes import repeat_if_changed
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.jobs.errors import NoSuchQueue, RequestRefused
from stemline.jobs.policy import Operation
from stemline.jobs.queue import Override, Queue
from stemline.jobs.start_times import MAX_AHEAD_US
from stemline.jobs.store import Listing, QueueFilter
from stemline.wire import queries, views
from stemline.wire.codec import Tree
from stemline.wire.queue_request import queue_changes

router = Router()


@router.get("/asrqueue", name="list_asr_queues")
@router.get("/queue", name="list_queues")
def list_queues(context: ReadContext) -> Response:
    """List the queues; where the service opens by itself, also the one that the first change creates."""
    tenant, query = context.tenant, queries.QUEUES.read_parameters(context.query)
    is_speech = query.pop("category").lower() in queries.SPEECH_CATEGORIES
    filters = QueueFilter(**query)
    found = context.store.queues.search(tenant, filters)
    if not is_speech:
        found = Listing([], 0, found.missing)
    shown = [queue for queue in found.items if context.policy.allows_queue(queue)]
    if not context.policy.allows(Operation.QUEUES):
        shown = [queue.without_secrets() for queue in shown]
    return context.respond(
        views.QUEUE_LIST,
        items=shown,
        total=found.total - len(found.items) + len(shown),
        page=filters.page,
        size=filters.size,
        missing=found.missing,
    )


@router.put("/asrqueue/{queue_id}", name="update_asr_queue")
@router.put("/queue/{queue_id}", name="update_queue")
def update_queue(context: WriteContext, queue_id: str) -> Response:
    """Rename, pause or resume a queue, or change its callback; absent fields keep their values."""
    fields = context.fields()
    return repeat_if_changed(lambda: _update(context, queue_id, fields))


def _update(context: RequestContext, queue_id: str, fields: Tree) -> Response:
    tenant = context.tenant
    known = context.store.queues.search(tenant, QueueFilter(ids=(queue_id,)))
    if not known.items:
        raise NoSuchQueue
    queue, policy = known.items[0], context.policy
    changes = queue_changes(fields, queue.notify, mq_regions=context.mq_regions)
    policy.check_queue(queue, new_name=changes.get("name"))
    changes = _limits(context, queue, changes)
    if "notify" in changes:
        policy.check_target(changes["notify"].mq)
    update = partial(context.store.queues.update, tenant, queue_id, **changes, revision=queue.revision)
    try:
        changed = update()
    except NoSuchQueue:  # the queue that a new tenant is shown, which is not stored yet
        context.open_tenant()
        changed = update()
    return context.respond(views.QUEUE_ANSWER, queue=changed)


def _limits(context: RequestContext, queue: Queue, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes of a queue, whose limits are checked.

    Raises:
        RequestRefused: One is too high, holds for more than a year, or leaves no slot for all levels.
    """
    now = context.store.now()
    given: Override | None = changes.get("override")
    override = queue.override if given is None else given
    if given is not None and given.until > now + MAX_AHEAD_US:
        raise RequestRefused("Override.Until must be within a year.")
    if override is not None and override.until <= now:
        override = None
    temporary = override if given else None
    for limits in (changes, {} if temporary is None else asdict(temporary)):
        context.policy.check_limits(
            max_size=limits.get("max_size"),
            max_concurrent=limits.get("max_concurrent"),
            weight=limits.get("weight"),
        )
    if {"reserved", "max_concurrent", "override"} & set(changes):
        kept = {name: changes[name] for name in ("reserved", "max_concurrent") if name in changes}
        replace(queue, **kept, override=override).check_reserved()
    return {**changes, "override": override or Override(0)} if given else changes
