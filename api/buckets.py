"""The service switch: for which buckets the speech service is opened (docs/wire/wire.md, 6.5)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import Reading, Writing
from stemline.jobs.store import BucketFilter
from stemline.jobs.tenant import Bucket
from stemline.wire import params as read
from stemline.wire import views

router = APIRouter()


@router.post("/asrbucket", name="open_bucket")
def open_bucket(call: Writing) -> Response:
    """Open the service for the bucket and make its queue; the same answer when it is open already."""
    return call.numbered({"AsrBucket": views.bucket(call.store.tenants.open(call.tenant))})


@router.delete("/asrbucket", name="close_bucket")
def close_bucket(call: Writing) -> Response:
    """Refuse further submissions for the bucket."""
    call.store.tenants.close(call.tenant)
    return call.numbered({"BucketName": call.tenant.bucket})


@router.get("/asrbucket", name="list_buckets")
def list_buckets(call: Reading) -> Response:
    """Opened buckets, those only that the credential may use; the host needs no bucket."""
    number, size = read.page(call.query)
    regions = tuple(region for region in read.listed(call.query, "regions") if region != "All")
    names: frozenset[str] | None = frozenset(read.listed(call.query, "bucketnames")) or None
    own = call.principal.buckets
    if "*" not in own:
        names = own if names is None else names & own
    found, total = list[Bucket](), 0
    if names is None or names:
        part = call.query.get("bucketname", "")
        which = BucketFilter(
            regions=regions, names=tuple(sorted(names or ())), name_part=part, page=number, size=size
        )
        listing = call.store.tenants.search(which)
        found, total = listing.items, listing.total
    tree: views.Tree = {"TotalCount": str(total), "PageNumber": str(number), "PageSize": str(size)}
    if found:
        tree["AsrBucketList"] = [views.bucket(bucket) for bucket in found]
    return call.numbered(tree)
