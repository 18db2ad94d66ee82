"""What is promised, checked while a run goes on and at its end."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stemline.jobs.job import Job
from stemline.jobs.states import ENDED, State
from stemline.workers.model_choice import choose
from tests.chaos import stub
from tests.simulation.batch_properties import BatchProperties
from tests.simulation.clients import QUEUE, TENANT
from tests.simulation.world import World


class Properties:
    """The promises of one run."""

    def __init__(self, world: World) -> None:
        """Follow every script that runs."""
        self._world = world
        self._store = world.server.observer()
        self._leases: dict[str, int] = {}
        self._tokens: dict[str, int] = {}
        self._separated = set[tuple[str, ...]]()
        """Source and stems of the jobs that have succeeded."""
        self._separating = set[tuple[str, ...]]()
        self._looked_at: tuple[int, ...] = ()
        self._is_settled = False
        """Whether all work was done when it was looked at."""
        self._succeeded: dict[str, int | None] = {}
        """When each job succeeded, which a repeated call of the worker does not change."""
        self._batches = BatchProperties(self._store, world.seen)
        world.server.listeners.append(self._ran)

    # -- on the way

    def _ran(self, name: str, args: Sequence[str], answer: Any) -> None:
        check = getattr(self, f"_on_{name}", None)
        if check is not None and not isinstance(answer, Exception):
            check(args, answer)

    def _fault(self, text: str) -> None:
        self._world.seen.faults.append(text)
        self._world.scheduler.note(f"FAULT: {text}")

    def _on_claim(self, args: Sequence[str], answer: Any) -> None:
        if answer[0] != "job":
            return
        record = answer[2]
        job = dict(zip(record[::2], record[1::2], strict=True))
        if job["wants"] not in args[6 + int(args[5]) :]:
            self._fault(f"{job['id']} was claimed by a worker that does not serve it")
        if job["id"] in self._world.server.ended:
            self._fault(f"{job['id']} was claimed after its end was answered")
        if sent := self._world.seen.callbacks.get(job["id"]):
            self._fault(f"{job['id']} was claimed after its receiver was sent {sent}")
        if self._world.seen.is_paused and job["queue"] == QUEUE:
            self._fault(f"{job['id']} was claimed while its queue was paused")
        now, spec = int(args[1]), json.loads(job["spec"])
        if (spec.get("not_before") or 0) > now:
            self._fault(f"{job['id']} was claimed before it may start")
        if (spec.get("deadline") or now + 1) <= now:
            self._fault(f"{job['id']} was claimed after its deadline")
        if wrong := self._batches.claimed(job["id"], job.get("batch", "")):
            self._fault(wrong)
        self._given(job["id"], int(job["token"]), now, int(args[3]))
        running = self._store.client.scard(f"stemline:running:{QUEUE}")
        if int(str(running)) > self._world.options.queue_max_concurrent:
            self._fault("more jobs run than the queue allows")

    def _on_heartbeat(self, args: Sequence[str], answer: Any) -> None:
        if answer != -1:
            self._leases[args[2]] = int(args[1]) + int(args[4])

    def _on_reclaim(self, args: Sequence[str], answer: Any) -> None:
        if not answer:
            return
        job = dict(zip(answer[::2], answer[1::2], strict=True))
        if not self._world.server.lost and int(args[1]) < self._leases.get(job["id"], 0):
            self._fault(f"{job['id']} was reclaimed before its lease had ended")
        self._given(job["id"], int(job["token"]), int(args[1]), int(args[4]))

    def _given(self, job_id: str, token: int, now: int, lease: int) -> None:
        if token <= self._tokens.get(job_id, 0):
            self._fault(f"{job_id} got the token {token} again")
        self._tokens[job_id] = token
        self._leases[job_id] = now + lease

    def _on_finish(self, args: Sequence[str], answer: Any) -> None:
        if answer[0] == "ok" and args[4] == State.SUCCESS:
            job = self._store.jobs.find(args[2])
            if job is None or job.state is not State.SUCCESS or self._succeeded.get(job.id) == job.ended:
                return
            self._succeeded[job.id] = job.ended
            if wrong := self._wrong_stems(job) or self._batches.succeeded(job):
                self._fault(f"at its Success, {wrong}")
            if self._ran_too_long(job):
                self._fault(f"{job.id} succeeded after its Timeout")
            self._separated.add(self._sort(job.spec.input_object, job.spec.tracks()))

    def _ran_too_long(self, job: Job) -> bool:
        is_copy = job.result is not None and bool(job.result.reused)
        data = self._world.bucket.objects[job.spec.input_object].data
        return not is_copy and json.loads(data)["seconds"] > (job.spec.timeout_s or math.inf)

    @contextmanager
    def separation(self, source: bytes, stems: Iterable[str]) -> Iterator[None]:
        """Follow a separation. Until something goes wrong in a run, none of equal jobs is a second one."""
        key = self._sort(f"in/{json.loads(source)['nonce']}", stems)
        is_checked = self._world.reuses and not self._world.choices.has_harmed
        if is_checked and key in self._separating:
            self._fault(f"equal jobs were separated at a time: {key}")
        elif is_checked and key in self._separated:
            self._fault(f"an equal job was separated again: {key}")
        self._separating.add(key)
        try:
            yield
        finally:
            self._separating.discard(key)

    def _sort(self, source: str, stems: Iterable[str]) -> tuple[str, ...]:
        """Return what equal jobs have in common."""
        return (source, str(len(list(stems))))

    # -- at the end

    def is_settled(self) -> bool:
        """Return whether all work is done."""
        now = self._world.scheduler.now
        if any(process.frozen_until > now for process in self._world.slots.values()):
            return False
        seen, changes = self._world.seen, self._world.server.changes
        state = (changes, len(seen.accepted), len(seen.batches))
        if state != self._looked_at:
            self._looked_at, self._is_settled = state, self._are_ended()
        return self._is_settled

    def _are_ended(self) -> bool:
        client: Any = self._store.client
        if client.zcard("stemline:outbox") or client.zcard("stemline:leftovers"):
            return False
        states = [client.hget(f"stemline:job:{job_id}", "state") for job_id in self._world.seen.accepted]
        return all(state is None or state in ENDED for state in states) and self._batches.are_over()

    def unfinished(self) -> str:
        """Return what is not done."""
        client: Any = self._store.client
        jobs = [self._store.jobs.find(job_id) for job_id in self._world.seen.accepted]
        states = [(job.id, str(job.state)) for job in jobs if job is not None and job.state not in ENDED]
        rest = [(key, client.zrange(f"stemline:{key}", 0, -1)) for key in ("outbox", "leftovers")]
        batches = self._batches.unfinished()
        return f"work does not end: {states} {batches} {[(key, found) for key, found in rest if found]}"

    def check(self) -> list[str]:
        """Return the promises that were broken."""
        seen = self._world.seen
        faults = list(seen.faults)
        keys = sorted(seen.accepted.values())
        faults += [f"two jobs for {a}" for a, b in itertools.pairwise(keys) if a == b]
        for job_id in seen.accepted:
            job = self._store.jobs.find(job_id)
            if job is None:
                faults.append(f"lost: {job_id}")
                continue
            faults += self._faults_of(job)
        stored = self._store.jobs.browse(TENANT, None, offset=0, size=100).items
        rows = [job for job in stored if job.spec.batch in seen.batches]
        alone = [job for job in stored if job.spec.batch not in seen.batches]
        faults += [
            f"never accepted: {job.id}"
            for job in alone
            if job.id not in seen.accepted and job.spec.user_data not in seen.doubtful
        ]
        faults += [wrong for job in rows for wrong in self._faults_of(job)]
        return faults + self._batches.faults(rows)

    def _faults_of(self, job: Job) -> list[str]:
        seen, faults = self._world.seen, self._left(job)
        if job.state is State.SUCCESS:
            if job.id in seen.cancelled:
                faults.append(f"succeeded after its cancel was answered: {job.id}")
            if wrong := self._wrong_stems(job):
                faults.append(wrong)
        # The end of a row is not announced: that of its batch is.
        sent, wanted = set(seen.callbacks[job.id]), {str(job.state)} - {"Cancel"}
        if sent != (set() if job.spec.batch else wanted):
            faults.append(f"{job.state}, but its receiver was sent {sorted(sent)}: {job.id}")
        if job.state is State.CANCEL and (wrong := self._wrong_cancel(job)):
            faults.append(wrong)
        if job.state is State.FAILED and not self._may_fail(job):
            faults.append(f"failed without a reason of its own: {job.id} {job.code} {job.message}")
        if job.id in seen.origins and job.spec.origin != seen.origins[job.id]:
            faults.append(f"a retry names another job: {job.id} {job.spec.origin}")
        return faults

    def _left(self, job: Job) -> list[str]:
        """Return what the bucket must not hold of a job."""
        uploads = self._world.bucket.uploads.values()
        faults = []
        if filled := [upload.key for upload in uploads if upload.job == job.id and upload.parts]:
            faults.append(f"{job.state}, but bytes of an upload are left: {job.id} {filled}")
        objects = [key for key, found in self._world.bucket.objects.items() if found.job == job.id]
        if objects and job.state is not State.SUCCESS:
            faults.append(f"{job.state}, but objects are left: {job.id} {objects}")
        return faults

    def _wrong_cancel(self, job: Job) -> str:
        """Return what is wrong with a job's having been cancelled."""
        seen = self._world.seen
        if job.code == "DeadlineExceeded":
            in_time = job.spec.deadline is None or (job.ended or 0) < job.spec.deadline
            return f"cancelled before its deadline: {job.id}" if in_time else ""
        asked = job.id in seen.cancel_asked or self._batches.may_be_cancelled(job)
        return "" if asked else f"cancelled by nobody: {job.id} {job.code}"

    def _may_fail(self, job: Job) -> bool:
        """Return whether a job failed for one of the reasons there are in a run."""
        return (
            "died on each" in job.message
            or (job.code == "JobTimeout" and job.spec.timeout_s is not None)
            or self._batches.may_fail(job)
            or ("instead of" in job.message and self._world.bucket.has_forgotten)
            or job.attempt >= self._world.parts.settings.jobs.max_attempts
        )

    def _wrong_stems(self, job: Job) -> str:
        """Return what is wrong with the stems of a job that succeeded."""
        names = choose(job.spec, self._world.parts.settings.engine).stems
        for track in job.spec.tracks():
            key = job.spec.key(track, job.id)
            found = self._world.bucket.objects.get(key)
            if found is None:
                return f"a stem is missing: {key}"
            if (found.job, found.token) != (job.id, job.token):
                return f"a stem is of another attempt: {key} {found.token}, not {job.token}"
            if found.data != stub.stem(names[track], stub.nonce(job)):
                return f"a stem is not that of its source: {key}"
        return ""
