"""Check of what holds work back: paused and full queues, limits, missing workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from stemline.cli.checks.findings import CheckContext, Finding, fail, ok, warn
from stemline.cli.output import counted, span
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from stemline.jobs.batch import Batch
    from stemline.jobs.store import UsageRepository
    from stemline.jobs.store.snapshot import QueueLoad, Snapshot
    from stemline.jobs.worker import Worker

_MAX_QUEUES: Final = 100
_MAX_BATCHES: Final = 100
"""Of one bucket, the latest ones."""
_MAX_SILENT: Final = 10
"""Workers that are named."""
_NEARLY: Final = 0.9
"""Share of a queue's size from which on it counts as full."""


def capacity(context: CheckContext) -> Iterator[Finding]:
    """Look at the queues: what waits, and why it does not run."""
    from stemline.jobs.batch import BatchState
    from stemline.jobs.errors import StoreUnavailable
    from stemline.jobs.store import QueueFilter
    from stemline.runtime.store import open_store

    store = open_store(context.settings)
    try:
        snapshot = store.statistics.read(_MAX_QUEUES)
        sizes = {
            queue.id: queue.max_size
            for load in snapshot.queues
            for queue in store.queues.search(load.tenant, QueueFilter(ids=(load.id,))).items
        }
        paused = [
            batch
            for tenant in dict.fromkeys(load.tenant for load in snapshot.queues)
            for batch in store.batches.search(tenant, size=_MAX_BATCHES).items
            if batch.state is BatchState.PAUSED and batch.waiting
        ]
        spent = list(_budgets(context, store.usage))
        silent = list(_silent(store.workers.latest(), store.now()))
    except StoreUnavailable as error:
        message = f"the store does not answer: {reason_of(error.__cause__ or error)}"
        yield fail("capacity", message, "see the check of the store")
        return
    finally:
        store.close()
    yield from spent
    for load in snapshot.queues:
        yield from _queue(load, sizes.get(load.id, 0))
    yield from _put_off(snapshot)
    yield from _batches(paused)
    yield from _workers(snapshot)
    yield from silent
    yield from _models(snapshot)
    yield _rate(context)


def _queue(load: QueueLoad, size: int) -> Iterator[Finding]:
    waiting = sum(load.waiting)
    what = f"queue {load.id} of {load.tenant}: {waiting} waiting, {load.running} running"
    if waiting and load.paused:
        yield warn("capacity", f"{what}; it is paused", f"run `stemline resume {load.id}`")
    elif waiting and load.running >= load.max_concurrent:
        fix = f"if workers are free: `stemline resume {load.id} --concurrent N`"
        yield warn("capacity", f"{what}; it runs at most {load.max_concurrent} at once", fix)
    else:
        yield ok("capacity", f"{what}, at most {load.max_concurrent} at once")
    if size and waiting >= _NEARLY * size:
        fix = f"`stemline resume {load.id} --size N`"
        yield warn("capacity", f"queue {load.id} holds {waiting} of at most {size} waiting jobs", fix)


def _put_off(snapshot: Snapshot) -> Iterator[Finding]:
    """Count jobs that wait and are in no line: lists show them, and the counts of queues do not."""
    from stemline.jobs.states import State

    waiting = snapshot.states.get(State.SUBMITTED, 0) + snapshot.states.get(State.PAUSE, 0)
    if (count := waiting - sum(snapshot.totals_of_queues.waiting)) > 0:
        yield ok(
            "capacity",
            f"{counted(count, 'more job')} waiting for a time or another job: NotBefore, another attempt"
            " after a fault, a paused batch or an equal job; `stemline job ID` says more",
        )


def _batches(paused: Sequence[Batch]) -> Iterator[Finding]:
    for batch in paused:
        message = f"batch {batch.id} is paused; {counted(batch.waiting, 'row')} waiting"
        yield warn("capacity", message, f"run `stemline batches resume {batch.id}`")


def _workers(snapshot: Snapshot) -> Iterator[Finding]:
    startable, running = sum(snapshot.totals_of_queues.startable), snapshot.totals_of_queues.running
    if startable and not running:
        fix = "start one (`stemline worker separate`); one that runs and takes nothing hangs: restart it"
        what = f"{counted(startable, 'job')} could run, and none runs: no worker takes jobs"
        yield warn("capacity", what, fix)
    elif startable:
        fix = "start more workers (`stemline worker separate`), or raise STEMLINE_WORKER_CONCURRENCY"
        yield warn(
            "capacity",
            f"{counted(startable, 'more job')} could run: all workers are busy with {running}",
            fix,
        )


def _silent(workers: Sequence[Worker], now: int) -> Iterator[Finding]:
    """Look for workers that ended without saying so, or hang.

    Where a later one of its kind lives on its host, it was started again under another name.
    """
    living = [each for each in workers if each.is_alive(now)]
    silent = [
        each for each in workers if not each.is_alive(now) and not any(map(each.is_replaced_by, living))
    ]
    fix = "see its log and its machine, and start it again; if it is gone for good, this ends after a day"
    for worker in silent[:_MAX_SILENT]:
        since = span((now - worker.seen) / 1e6, whole=True)
        what = f"worker {worker.name} ({worker.kind}) fell silent {since} ago"
        yield warn("capacity", f"{what}: it was killed, hangs or has no network", fix)
    if (more := len(silent) - _MAX_SILENT) > 0:
        yield warn("capacity", f"{counted(more, 'more worker')} fell silent", fix)


def _models(snapshot: Snapshot) -> Iterator[Finding]:
    """Look for jobs that no worker which runs can do."""
    for demand in snapshot.demands:
        jobs = f"{counted(demand.waiting, 'job')} waiting for {demand.wants}"
        if demand.served:
            yield ok("capacity", f"{jobs}, which a worker serves")
        else:
            message = f"{jobs}, which no worker that runs serves"
            fix = "add it on a worker: `stemline models add`, or `stemline models pull` for Spleeter's"
            yield warn("capacity", message, fix)


def _budgets(context: CheckContext, usage: UsageRepository) -> Iterator[Finding]:
    """Look at the budgets of credentials: which are spent today, or nearly."""
    from stemline.jobs.usage import Budget
    from stemline.runtime.credentials import CredentialFiles
    from stemline.runtime.errors import UnreadableFile

    try:
        known = CredentialFiles.of(context.settings).key_pairs.entries()
    except UnreadableFile:  # the service says so at its start
        return
    for name, entry in known.items():
        budget = Budget(entry.daily_jobs, entry.daily_audio_s)
        share = budget.share(usage.spent(name)) if budget != Budget() else 0.0
        if share >= _NEARLY:
            fix = "raise daily_jobs or daily_audio_s of its entry, or wait until 0:00 UTC"
            spent = f"{int(share * 100)} % of the budget of {name} for today is spent"
            yield warn("capacity", spent, fix)


def _rate(context: CheckContext) -> Finding:
    access = context.settings.access
    if not access.rate_limit_per_s:
        return ok("capacity", "requests are not limited")
    return ok(
        "capacity",
        f"a credential may send {access.rate_limit_per_s:g} requests a second after {access.rate_limit_burst}"
        " at once (STEMLINE_RATE_LIMIT_PER_S, STEMLINE_RATE_LIMIT_BURST)",
    )
