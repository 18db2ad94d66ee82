"""The submitter of jobs, and whether it may use what the jobs name."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from stemline.api.context import RequestContext
from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.output_names import check_output_names
from stemline.jobs.start_times import check_start_times
from stemline.jobs.store import QueueFilter


def again(context: RequestContext, job: Job) -> JobSpec:
    """Return the specification of a job that retries another one, with its submitter."""
    return submitted_by(context, job.spec, origin=job.id, trace="", not_before=None, deadline=None)


def submitted_by(context: RequestContext, spec: JobSpec, **changes: Any) -> JobSpec:
    """Return the specification with its submitter, who must be allowed what it names.

    Args:
        context: Context of the request.
        spec: What is asked for.
        changes: Values that it has instead.
    """
    policy = context.policy
    submitter: dict[str, Any] = {
        "credential": context.principal.id,
        "signed": context.principal.signs_callbacks,
        "weight": policy.weight,
        "reuse": policy.reuse,
    }
    spec = replace(spec, **submitter, **changes)
    allowed = context.settings.hosts.allowed_regions
    if spec.output.region not in allowed:
        raise RequestRefused(f"Output.Region must be one of {', '.join(sorted(allowed))}.")
    policy.check_output(spec.output)
    buckets = context.services.buckets
    check_output_names(spec, keeps_files=buckets.keeps_files(spec.output.region, spec.output.bucket))
    policy.check_target(spec.callback.mq)
    policy.check_model(spec.separate.model)
    check_start_times(spec, round(context.services.clock() * 1e6))
    return spec


def check_queues(context: RequestContext, ids: AbstractSet[str]) -> None:
    """Check queues whose jobs are created or changed, by their ids; an empty one stands for all queues."""
    if context.policy.allows_every_queue:
        return
    for queue in context.store.queues.search(context.tenant, QueueFilter(size=100)).items:
        if ids & {queue.id, ""}:
            context.policy.check_queue(queue)
