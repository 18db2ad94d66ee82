"""List, show and send callbacks. Not part of the vendor's API; see docs/callbacks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import ReadContext, WriteContext
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.jobs.delivery import Delivery
from stemline.jobs.errors import RequestRefused
from stemline.jobs.policy import Operation
from stemline.jobs.store import DeliveryFilter, delivery_id
from stemline.wire import queries, views

router = Router()

SHOWN_ATTEMPTS: Final = 10
"""The latest attempts of each callback, which a list shows; a callback asked for alone has all of them."""


@router.get("/callbacks", name="list_callbacks")
async def list_callbacks(context: ReadContext, request: Request) -> Response:
    """List callbacks of the bucket, latest first: dead letters, or those of other states."""
    query = DeliveryFilter(**queries.CALLBACKS.read_parameters(context.query))
    if query.host is None:
        return await context.of_page(request, query.size * SHOWN_ATTEMPTS, lambda: _list(context, query))
    return await context.of_many_records(request, lambda: _list(context, query))  # looks at each target


def _list(context: RequestContext, query: DeliveryFilter) -> Response:
    outbox = context.store.outbox
    if query.statuses == {"dead"}:  # by the time at which they were given up, as ever
        found = outbox.dead(
            tenant=context.tenant, host=query.host, since=query.since, page=query.page, size=query.size
        )
    else:
        found = outbox.search(context.tenant, query)
    return context.respond(
        views.CALLBACK_LIST,
        items=_shown(context, found.items),
        total=found.total,
        page=query.page,
        size=query.size,
    )


@router.get("/callbacks/{ids}", name="get_callbacks")
def get_callbacks(context: ReadContext, ids: str) -> Response:
    """Return callbacks in any state by their ids or the ids of their jobs; unknown ids are listed."""
    wanted = queries.id_list(ids, "callback")
    found = _find(context, wanted)
    missing = [name for name, delivery in zip(wanted, found, strict=True) if delivery is None]
    return context.respond(views.CALLBACKS, items=_shown(context, list(filter(None, found))), missing=missing)


@router.put("/callbacks/{ids}", name="replay_callbacks")
def replay_callbacks(context: WriteContext, ids: str) -> Response:
    """Retry dead letters from the start of their schedule, all or none; ``?replay`` is optional."""
    found = _find(context, queries.id_list(ids, "callback"))
    deliveries = [delivery for delivery in found if delivery is not None]
    if len(deliveries) < len(found):
        raise RequestRefused("One of the callbacks does not exist.")
    names = list(dict.fromkeys(delivery.id for delivery in deliveries))
    context.store.outbox.replay_all(context.tenant, names)
    return context.respond(views.REPLAYED, count=len(names))


@router.post("/callbacks/{ids}/send", name="send_callbacks")
def send_callbacks(context: WriteContext, ids: str) -> Response:
    """Send callbacks now, whatever their state: again, earlier than due, or although they were given up."""
    found = _find(context, queries.id_list(ids, "callback"))
    deliveries = [delivery.id for delivery in found if delivery is not None]
    if len(deliveries) < len(found):
        raise RequestRefused("One of the callbacks does not exist.")
    count = context.store.outbox.send(context.tenant, deliveries)
    return context.respond(views.REPLAYED, count=count)


@router.put("/callbacks", name="replay_callbacks_where")
async def replay_callbacks_where(context: WriteContext, request: Request) -> Response:
    """Replay all dead letters of the bucket that match the filters of the list."""
    query = queries.DEAD_LETTERS.read_parameters(context.query)
    tenant, outbox = context.tenant, context.store.outbox
    count = await context.of_many_records(request, lambda: outbox.replay_where(tenant=tenant, **query))
    return context.respond(views.REPLAYED, count=count)


def _shown(context: RequestContext, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return callbacks without secrets, unless replay is allowed; several with their latest attempts only."""
    if len(deliveries) > 1:
        deliveries = [replace(each, attempts=each.attempts[-SHOWN_ATTEMPTS:]) for each in deliveries]
    if context.policy.allows(Operation.CALLBACKS):
        return list(deliveries)
    return [delivery.without_secrets() for delivery in deliveries]


def _find(context: RequestContext, ids: Sequence[str]) -> list[Delivery | None]:
    """Return the callbacks of these ids; ``None`` where the bucket has no such callback."""
    tenant = context.tenant
    found = [context.store.outbox.get(delivery_id(i) if i[:1] in {"j", "b"} else i) for i in ids]
    return [delivery if delivery and delivery.tenant == tenant else None for delivery in found]
