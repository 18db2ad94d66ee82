"""What the operations of the API work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stemline.api.bodies import BodyBudget
from stemline.api.credentials import Principals
from stemline.api.hosts import HostTable
from stemline.api.hub import EventHub
from stemline.api.limits import RateLimit
from stemline.api.long_requests import LongRequests, for_many_records, for_pages, for_stores
from stemline.api.metrics import ApiMetrics
from stemline.api.submissions import Submissions
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets


@dataclass(frozen=True, slots=True)
class Services:
    """Dependencies of the operations; one per application."""

    settings: Settings
    store: Store
    hosts: HostTable
    principals: Principals
    buckets: Buckets
    limit: RateLimit
    bodies: BodyBudget
    metrics: ApiMetrics
    tracer: Tracer
    hub: EventHub
    submissions: Submissions = field(default_factory=Submissions)
    at_stores: LongRequests = field(default_factory=for_stores)
    of_many_records: LongRequests = field(default_factory=for_many_records)
    of_pages: LongRequests = field(default_factory=for_pages)
    clock: Callable[[], float] = time.time
    """Unix seconds; signatures are checked against it."""
