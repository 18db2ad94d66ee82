"""The service switch: buckets for which the speech service is open (docs/wire/wire.md, 6.5)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import ReadContext, WriteContext
from stemline.jobs.store import BucketFilter
from stemline.jobs.tenant import Bucket
from stemline.wire import params as read
from stemline.wire import views

router = APIRouter()


@router.post("/asrbucket", name="open_bucket")
def open_bucket(context: WriteContext) -> Response:
    """Open the service for the bucket and create its queue; an open bucket gets the same answer."""
    return context.respond_with_id({"AsrBucket": views.bucket(context.store.tenants.open(context.tenant))})


@router.delete("/asrbucket", name="close_bucket")
def close_bucket(context: WriteContext) -> Response:
    """Close the service: later submissions for the bucket are refused."""
    context.store.tenants.close(context.tenant)
    return context.respond_with_id({"BucketName": context.tenant.bucket})


@router.get("/asrbucket", name="list_buckets")
def list_buckets(context: ReadContext) -> Response:
    """List the open buckets that the credential may use; the host needs no bucket."""
    number, size = read.page(context.query)
    regions = tuple(region for region in read.listed(context.query, "regions") if region != "All")
    names: frozenset[str] | None = frozenset(read.listed(context.query, "bucketnames")) or None
    own = context.principal.buckets
    if "*" not in own:
        names = own if names is None else names & own
    found, total = list[Bucket](), 0
    if names is None or names:
        part = context.query.get("bucketname", "")
        filters = BucketFilter(
            regions=regions, names=tuple(sorted(names or ())), name_part=part, page=number, size=size
        )
        listing = context.store.tenants.search(filters)
        found, total = listing.items, listing.total
    tree: views.Tree = {"TotalCount": str(total), "PageNumber": str(number), "PageSize": str(size)}
    if found:
        tree["AsrBucketList"] = [views.bucket(bucket) for bucket in found]
    return context.respond_with_id(tree)
