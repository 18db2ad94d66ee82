"""The speech queue of a bucket: ``/asrqueue`` and its alias ``/queue`` (docs/wire/wire.md, 6.1 to 6.4)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import ReadContext, WriteContext
from stemline.jobs.errors import NoSuchQueue, RequestRefused
from stemline.jobs.queue import NotifyConfig, Queue
from stemline.jobs.states import QueueState
from stemline.jobs.store import QueueFilter
from stemline.wire import params as read
from stemline.wire import views
from stemline.wire.codec import Fields
from stemline.wire.job_request import MQ_REGIONS, mq_config

router = APIRouter()

MAX_NAME_CHARS = 128
MAX_CAPACITY = 10_000_000
MAX_CONCURRENT = 100_000
EVENTS = ("TaskFinish", "WorkflowFinish")
_OUR_CATEGORIES = frozenset({"", "all", "cateall", views.QUEUE_TYPE.lower()})


@router.get("/asrqueue", name="list_asr_queues")
@router.get("/queue", name="list_queues")
def list_queues(context: ReadContext) -> Response:
    """List the queues; if the service opens automatically, the first request creates one."""
    tenant, query = context.tenant, context.query
    number, size = read.page(query)
    ids = read.listed(query, "queueids")
    state = read.choice({"state": query.get("state")}, "state", ("Active", "Paused", "All"))
    if context.settings.tenants.auto_open and not context.store.tenants.is_open(tenant):
        context.store.tenants.open(tenant)
    filters = QueueFilter(
        ids=ids, state=QueueState(state) if state in {"Active", "Paused"} else None, page=number, size=size
    )
    listing = context.store.queues.search(tenant, filters)
    ours = query.get("category", "").lower() in _OUR_CATEGORIES
    found, total = (listing.items, listing.total) if ours else (list[Queue](), 0)
    tree: views.Tree = {"TotalCount": str(total), "PageNumber": str(number), "PageSize": str(size)}
    if found:
        tree["QueueList"] = [views.queue(queue) for queue in found]
    if listing.missing:
        tree["NonExistPIDs"] = list(listing.missing)
    return context.respond_with_id(tree)


@router.put("/asrqueue/{queue_id}", name="update_asr_queue")
@router.put("/queue/{queue_id}", name="update_queue")
def update_queue(context: WriteContext, queue_id: str) -> Response:
    """Rename, pause or resume a queue, or change its callback; absent fields keep their values."""
    tenant, fields = context.tenant, context.fields()
    known = context.store.queues.search(tenant, QueueFilter(ids=(queue_id,)))
    if not known.items:
        raise NoSuchQueue
    state = read.choice(fields, "State", ("Active", "Paused"))
    regions = tuple(dict.fromkeys((*MQ_REGIONS, *context.settings.tdmq.endpoints)))
    queue = context.store.queues.update(
        tenant,
        queue_id,
        name=read.label(fields, "Name", most=MAX_NAME_CHARS),
        state=QueueState(state) if state else None,
        notify=notify_config(read.container(fields, "NotifyConfig"), known.items[0].notify, regions),
        max_size=read.integer(fields, "MaxSize", least=1, most=MAX_CAPACITY),
        max_concurrent=read.integer(fields, "MaxConcurrent", least=1, most=MAX_CONCURRENT),
    )
    return context.respond_with_id({"Queue": views.queue(queue)})


def notify_config(
    given: Fields | None, stored: NotifyConfig, mq_regions: tuple[str, ...]
) -> NotifyConfig | None:
    """Return the queue's callback defaults after an update; ``None`` without a ``NotifyConfig``.

    Raises:
        RequestRefused: a value is not valid, or the notification is on and incomplete.
    """
    if not given:
        return None
    url = read.word(given, "Url")
    notify = NotifyConfig(
        state=read.choice(given, "State", ("On", "Off")) or stored.state,
        event=_events(given) or stored.event,
        result_format=read.choice(given, "ResultFormat", ("XML", "JSON")) or stored.result_format,
        type=read.choice(given, "Type", ("Url", "TDMQ")) or stored.type,
        url=read.http_url("NotifyConfig.Url", url) if url else stored.url,
        mq_mode=read.choice(given, "MqMode", ("Queue", "Topic")) or stored.mq_mode,
        mq_region=read.word(given, "MqRegion") or stored.mq_region,
        mq_name=read.word(given, "MqName") or stored.mq_name,
    )
    if notify.state == "On":
        if not notify.event or not notify.type:
            raise RequestRefused("NotifyConfig with State On needs Event and Type.")
        if notify.type == "Url" and not notify.url:
            raise RequestRefused("NotifyConfig with Type Url needs Url.")
        if notify.type == "TDMQ":
            mode = notify.mq_mode or "Queue"
            mq_config({"MqRegion": notify.mq_region, "MqMode": mode, "MqName": notify.mq_name}, mq_regions)
    return notify


def _events(given: Fields) -> str:
    events = read.listed({"Event": read.word(given, "Event") or ""}, "Event")
    if not set(events) <= set(EVENTS):
        raise RequestRefused(f"NotifyConfig.Event must be a list of {', '.join(EVENTS)}.")
    return ",".join(events)
