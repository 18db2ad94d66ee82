"""The service switch: buckets for which the speech service is open (docs/wire/wire.md, 6.5)."""

from __future__ import annotations

from starlette.responses import Response

from stemline.api.admission import ReadContext, WriteContext
from stemline.api.routing import Router
from stemline.jobs.store import BucketFilter
from stemline.wire import queries, views

router = Router()


@router.post("/asrbucket", name="open_bucket")
def open_bucket(context: WriteContext) -> Response:
    """Open the service for the bucket and create its queue; an open bucket gets the same answer."""
    bucket = context.store.tenants.open(context.tenant, new_queue=context.new_queue)
    return context.respond(views.BUCKET_ANSWER, bucket=bucket)


@router.delete("/asrbucket", name="close_bucket")
def close_bucket(context: WriteContext) -> Response:
    """Close the service: later submissions for the bucket are refused."""
    context.store.tenants.close(context.tenant)
    return context.respond(views.CLOSED_BUCKET, name=context.tenant.bucket)


@router.get("/asrbucket", name="list_buckets")
def list_buckets(context: ReadContext) -> Response:
    """List the open buckets that the credential may use; the host needs no bucket."""
    query = queries.BUCKETS.read_parameters(context.query)
    query["regions"] = tuple(region for region in query["regions"] if region.lower() != "all")
    query["known"] = context.known_tenants
    found = context.store.tenants.search(BucketFilter(**query, allowed=context.policy.allows_tenant))
    return context.respond(
        views.BUCKET_LIST, items=found.items, total=found.total, page=query["page"], size=query["size"]
    )
