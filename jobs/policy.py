"""What a credential may do: buckets, regions, operations, queues, message queues, ceilings and rate.

Every rule about a credential is here and nowhere else. The rules know values of jobs, and no requests.
Patterns are those of :mod:`fnmatch`: ``*`` for any text, ``?`` for one character, ``[…]`` for a choice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from stemline.jobs.callback import MqConfig, is_reserved_mq_name
from stemline.jobs.errors import BudgetSpent, Forbidden, RequestRefused
from stemline.jobs.job import Output
from stemline.jobs.queue import Queue, QueueLimits
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget, Usage

ANY = ("*",)
CEILINGS = QueueLimits(max_size=100_000, max_concurrent=100)
"""Highest limits of a queue, unless the settings or the credential say otherwise."""


class Operation(StrEnum):
    """A group of requests that a credential may be allowed to make."""

    READ = "read"
    """Every GET."""
    SUBMIT = "submit"
    UPLOAD = "upload"
    """Upload sources into the bucket."""
    CANCEL = "cancel"
    QUEUES = "queues"
    """Change queues: state, limits, callback."""
    TEMPLATES = "templates"
    """Create, change and delete templates."""
    BUCKETS = "buckets"
    """Open and close the service for a bucket."""
    CALLBACKS = "callbacks"
    """Replay callbacks."""


ALL_OPERATIONS = frozenset(Operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one credential."""

    buckets: tuple[str, ...] = ANY
    """Patterns of bucket names with APPID, for the tenant and the destination of a job."""
    regions: tuple[str, ...] = ANY
    """Patterns of regions, for the tenant and the destination of a job."""
    operations: frozenset[Operation] = ALL_OPERATIONS
    queues: tuple[str, ...] = ANY
    """Patterns of names or ids of queues."""
    mq_regions: tuple[str, ...] = ANY
    """Patterns of ``MqRegion``."""
    mq_names: tuple[str, ...] = ANY
    """Patterns of ``MqName``."""
    models: tuple[str, ...] = ()
    """Patterns of models that a job or a template may name; none unless they are given."""
    ceilings: QueueLimits = CEILINGS
    """Highest limits that may be set for a queue."""
    rate_limit_per_s: float | None = None
    """Requests per second; ``None`` for that of the settings."""
    rate_limit_burst: int | None = None
    weight: int | None = None
    """Of its share in every queue; ``None`` for a part of the common share."""
    reuse: bool = False
    """Whether its jobs may get copies of the stems of equal jobs of their tenant."""
    budget: Budget = NO_BUDGET
    """What it may take on one day."""
    key_prefix: str = "stemline"
    """First part of the keys of the job store, which must not name message queues."""

    def allows(self, operation: Operation) -> bool:
        """Return whether an operation is allowed."""
        return operation in self.operations

    def allows_bucket(self, bucket: str, region: str) -> bool:
        """Return whether a bucket may be used, as a tenant or as a destination."""
        return _any(self.buckets, bucket) and _any(self.regions, region)

    @property
    def named_buckets(self) -> tuple[str, ...] | None:
        """The buckets that may be used, if they are given by their names alone."""
        return None if any(set(name) & set("*?[") for name in self.buckets) else self.buckets

    def allows_tenant(self, tenant: Tenant) -> bool:
        """Return whether a tenant may be seen in a list."""
        return self.allows_bucket(tenant.bucket, tenant.region)

    def allows_queue(self, queue: Queue) -> bool:
        """Return whether a queue may be used, by its name or its id."""
        return _any(self.queues, queue.name) or _any(self.queues, queue.id)

    @property
    def allows_every_queue(self) -> bool:
        """Whether no queue needs to be looked at."""
        return "*" in self.queues

    def check(self, operation: Operation, *, bucket: str | None, region: str) -> None:
        """Check a request before its body is read.

        Raises:
            Forbidden: The bucket, the region or the operation is not allowed.
        """
        if bucket is not None and not _any(self.buckets, bucket):
            raise Forbidden("This credential may not use the bucket.")
        if not _any(self.regions, region):
            raise Forbidden("This credential may not use the region.")
        if not self.allows(operation):
            only_reads = self.operations <= {Operation.READ}
            raise Forbidden(
                "This credential may only read."
                if only_reads and operation is not Operation.READ
                else f"This credential does not allow {operation}."
            )

    def check_output(self, output: Output) -> None:
        """Check the destination of a job.

        Raises:
            Forbidden: Its bucket or region is not allowed.
        """
        if not self.allows_bucket(output.bucket, output.region):
            raise Forbidden("This credential may not write to the output bucket.")

    def check_queue(self, queue: Queue, *, new_name: str | None = None) -> None:
        """Check a queue that is used or changed.

        Raises:
            Forbidden: The queue, or its new name, is not allowed.
        """
        if not self.allows_queue(queue) or not (new_name is None or _any(self.queues, new_name)):
            raise Forbidden("This credential may not use the queue.")

    def check_target(self, target: MqConfig | None) -> None:
        """Check a message queue or topic.

        Raises:
            RequestRefused: Its name is reserved.
            Forbidden: Its region or its name is not allowed.
        """
        if target is None:
            return
        if is_reserved_mq_name(target.name, self.key_prefix):
            raise RequestRefused(f"The MqName {target.name} is reserved.")
        if not _any(self.mq_regions, target.region):
            raise Forbidden("This credential may not use the MqRegion.")
        if not _any(self.mq_names, target.name):
            raise Forbidden("This credential may not use the MqName.")

    def check_model(self, model: str | None) -> None:
        """Check the model that a job or a template names.

        Raises:
            Forbidden: It is not allowed.
        """
        if model is not None and not _any(self.models, model):
            raise Forbidden(f"This credential may not choose the model {model}.")

    def check_budget(self, spent: Usage, jobs: int) -> float:
        """Check a submission of some jobs; return the share of the budget that is spent without them.

        Raises:
            BudgetSpent: The budget has no room for them.
        """
        share = self.budget.share(spent)
        if share >= 1 or (self.budget.jobs is not None and spent.jobs + jobs > self.budget.jobs):
            raise BudgetSpent
        return share

    def check_limits(
        self, *, max_size: int | None = None, max_concurrent: int | None = None, weight: int | None = None
    ) -> None:
        """Check limits that a queue shall get; ``None`` changes nothing.

        Raises:
            RequestRefused: One is above its ceiling.
        """
        if (max_size or 0) > self.ceilings.max_size:
            raise RequestRefused(f"MaxSize must be at most {self.ceilings.max_size}.")
        if (max_concurrent or 0) > self.ceilings.max_concurrent:
            raise RequestRefused(f"MaxConcurrent must be at most {self.ceilings.max_concurrent}.")
        if (weight or 0) > self.ceilings.weight:
            raise RequestRefused(f"Weight must be at most {self.ceilings.weight}.")

    def limits_of_new_queue(self, defaults: QueueLimits) -> QueueLimits:
        """Return the limits of a queue that is created for this credential."""
        return QueueLimits(
            min(defaults.max_size, self.ceilings.max_size),
            min(defaults.max_concurrent, self.ceilings.max_concurrent),
        )


def _any(patterns: Collection[str], text: str) -> bool:
    return "*" in patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
