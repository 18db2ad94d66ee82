"""What the contract tests of a job store share; each of them runs on a real Valkey and in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant

TENANT = Tenant("media-1250000000", "ap-chongqing")
OTHER = Tenant("other-1250000000", "ap-chongqing")
START = 1_790_000_000_000_000
SECOND = 1_000_000
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})

Make: TypeAlias = Callable[..., Store]
"""Makes an empty store with options of the test's choice."""


def spec(name: str = "in/a.mp3", *, tenant: Tenant = TENANT, level: int = 0, **changes) -> JobSpec:
    output = Output(region=tenant.region, bucket=tenant.bucket, au_object="out/${jobid}.${ext}")
    return JobSpec(tenant, name, VoiceSeparate(AudioMode.IS_AUDIO), output, level=level, **changes)


def states(store: Store, *ids: str) -> list[State]:
    return [job.state for job in store.jobs.get(TENANT, ids)]


def ended(store: Store, url: str = "http://cb.example/x", tenant: Tenant = TENANT) -> str:
    """Run a job to its end; the id of its callback."""
    (job,) = store.jobs.create([spec(tenant=tenant, callback=CallbackRequest(url=url))])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    delivery = store.outbox.for_job(job.id)
    assert delivery is not None
    return delivery.id
