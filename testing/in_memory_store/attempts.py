"""Attempts at jobs in memory, from the claim to the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stemline.jobs.errors import CancelAsked
from stemline.jobs.estimate import mean_run
from stemline.jobs.history import StepKind
from stemline.jobs.job import Job, Result, Waveform
from stemline.jobs.queue import USUAL_WEIGHT
from stemline.jobs.serving import COMMON
from stemline.jobs.states import State
from stemline.jobs.store import AttemptRepository, Reuse, WakeUp, records
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import Uploads
from stemline.jobs.text import shorten
from stemline.testing.in_memory_store.contents import Contents


class InMemoryAttempts(AttemptRepository):
    """Attempts at jobs in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def claim(self, worker: str, levels: Sequence[int], serves: Collection[str] = COMMON) -> Job | None:
        contents = self._contents
        moved: list[WakeUp] = []
        with contents.lock:
            contents.end_overrides()
            serves = [name for name in serves if contents.has_room_for(name)]
            while (job := contents.best(levels, serves)) is not None:
                if contents.expire(job):
                    continue
                if job.spec.wants in serves:
                    break
                contents.apart.add(job.id)
                contents.refresh(job.spec.queue_id)
                place = (job.spec.queue_id, job.spec.level, job.spec.wants)
                moved += contents.wake_ups_of(*place, 1)
            claimed = None if job is None else self._start(job, worker, serves)
        contents.send(moved)
        return claimed

    def _start(self, job: Job, worker: str, serves: Collection[str]) -> Job:
        """Give a job to a worker."""
        contents = self._contents
        with contents.lock:
            queue_id, level = job.spec.queue_id, job.spec.level
            contents.end_turn(job, serves)
            queue_turn = contents.ready[level, contents.line_wants(job)][queue_id]
            running = contents.move(job, State.RUNNING)
            contents.jobs[job.id] = replace(
                running,
                token=contents.next_token(job),
                attempt=job.attempt + 1,
                claims=job.claims + 1,
                started=contents.clock(),
                worker=worker,
                progress=0,
                message="",
                stage="",
            )
            contents.publish_job(contents.jobs[job.id])
            contents.note(job.id, StepKind.CLAIMED, worker)
            self._contents.extend_lease(job.id)
            contents.expected_ends.pop(job.id, None)
            # Turns that passed while no worker served the line are not made up for.
            turn = max(queue_turn, contents.last_turn[level])
            contents.last_turn[level] = turn
            after = turn + USUAL_WEIGHT / contents.queues[queue_id].turns
            contents.next_turn[queue_id, level] = after
            for (of_level, _), turns in contents.ready.items():
                if of_level == level and queue_id in turns:
                    turns[queue_id] = after
            contents.refresh(queue_id)
            return contents.jobs[job.id]

    def heartbeat(
        self,
        job_id: str,
        token: int,
        progress: int,
        device: str = "",
        stage: str = "",
        *,
        remaining_s: float | None = None,
    ) -> bool:
        contents = self._contents
        with contents.lock:
            job = contents.current(job_id, token)
            contents.extend_lease(job_id)
            known = replace(job, progress=progress, device=device or job.device, stage=stage)
            contents.jobs[job_id] = known
            if remaining_s is not None:
                contents.expected_ends[job_id] = contents.clock() + round(remaining_s * 1e6)
            if stage not in {job.stage, ""}:
                contents.note(job_id, StepKind.STAGE, stage)
            if (job.progress, job.stage) != (progress, stage):
                contents.publish_job(known)
            return job.cancel_requested

    def register_uploads(self, job_id: str, token: int, uploads: Sequence[Mapping[str, Any]]) -> None:
        with self._contents.lock:
            job = self._contents.current(job_id, token)
            self._contents.jobs[job_id] = replace(job, uploads=tuple(uploads))

    def reuse(self, job_id: str, token: int, digest: str, *, without: str = "") -> Reuse:
        contents = self._contents
        with contents.lock:
            current = contents.current(job_id, token)
            if current.cancel_requested:
                raise CancelAsked
            key = (current.spec.tenant, digest)
            done = contents.jobs.get(contents.reusable.get(key, ""))
            if done is not None and done.id != without and done.state is State.SUCCESS:
                return Reuse(done=done.id)
            contents.reusable.pop(key, None)
            leader = contents.leaders.get(key)
            if leader in {None, job_id}:
                contents.leaders[key] = job_id
                return Reuse()
            contents.followers[leader].add(job_id)
            contents.jobs[job_id] = replace(current, claims=current.claims - 1)  # it was not put off
        reason = f"The job waits for an equal one, {leader}, that runs."
        self.release(current, delay_s=300, reason=reason)
        return Reuse(waits=True)

    def succeed(
        self, job: Job, result: Result, waveforms: Sequence[Waveform] = (), *, digest: str = ""
    ) -> None:
        if digest and self._contents.jobs[job.id].state is State.RUNNING:
            with self._contents.lock:
                self._contents.current(job.id, job.token)
                if not self._contents.jobs[job.id].cancel_requested:
                    self._contents.reusable[job.spec.tenant, digest] = job.id
        self._finish(job, State.SUCCESS, "Success", "", result, waveforms=waveforms)

    def fail(self, job: Job, code: str, message: str, *, leftovers: Uploads = ()) -> None:
        self._finish(job, State.FAILED, code, message, leftovers=leftovers)

    def confirm_cancel(self, job: Job, *, leftovers: Uploads = ()) -> None:
        self._finish(job, State.CANCEL, "Success", "", leftovers=leftovers)

    def release(
        self,
        job: Job,
        *,
        delay_s: float = 0.0,
        counts: bool = False,
        reason: str = "",
        leftovers: Uploads = (),
    ) -> None:
        contents = self._contents
        with contents.lock:
            current = self._contents.current(job.id, job.token)
            if current.cancel_requested:
                raise CancelAsked
            reason = shorten(reason)
            contents.leave(current, leftovers)
            del contents.leases[job.id]
            attempt = current.attempt if counts else current.attempt - 1
            waiting = contents.move(current, State.SUBMITTED)
            contents.jobs[job.id] = replace(
                waiting,
                attempt=attempt,
                started=None,
                worker="",
                uploads=(),
                progress=0,
                stage="",
                message=reason,
            )
            contents.note(job.id, StepKind.FAILED if counts else StepKind.RELEASED, reason)
            contents.publish_job(contents.jobs[job.id])
            if delay_s > 0:
                contents.delayed[job.id] = contents.clock() + round(delay_s * 1e6)
            contents.refresh(job.spec.queue_id)
            found = contents.free_followers(job.id) + contents.next_in_line(job.spec.wants)
            contents.expire(contents.jobs[job.id])
            found += contents.wake_ups(job.spec.queue_id, job.spec.level, 1)
        self._contents.send(found)

    def expired(self, limit: int = 100) -> list[str]:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            ends = sorted((end, job_id) for job_id, end in contents.leases.items() if end <= now)
        return [job_id for _, job_id in ends[:limit]]

    def reclaim(self, job_id: str, sweeper: str) -> Job | None:
        contents = self._contents
        with contents.lock:
            if contents.leases.get(job_id, contents.clock() + 1) > contents.clock():
                return None
            job = contents.jobs[job_id]
            contents.jobs[job_id] = replace(job, token=contents.next_token(job), worker=sweeper)
            self._contents.extend_lease(job_id)
            contents.totals["leases_lost"] += 1
            contents.note(job_id, StepKind.RECLAIMED, sweeper)
            return contents.jobs[job_id]

    def _finish(
        self,
        job: Job,
        to: State,
        code: str,
        message: str,
        result: Result | None = None,
        *,
        waveforms: Sequence[Waveform] = (),
        leftovers: Uploads = (),
    ) -> None:
        contents = self._contents
        with contents.lock:
            known = contents.jobs.get(job.id)
            if known is not None and (known.state, known.token) == (to, job.token) and known.worker:
                return  # the call is repeated
            current = self._contents.current(job.id, job.token)
            if to is State.SUCCESS and current.cancel_requested:
                raise CancelAsked
            contents.leave(current, leftovers)
            self._use(current, to, result)
            if result is not None and result.reused:
                contents.totals["reused"] += 1
            elif to is State.SUCCESS:
                run, queue = contents.clock() - (current.started or 0), current.spec.queue_id
                audio_ms, *_ = result.usage() if result else (0,)
                contents.totals[f"audio_ms_of:{current.spec.wants}"] += audio_ms
                contents.totals[f"work_ms_of:{current.spec.wants}"] += run // 1000
                for key in ((queue, ""), (queue, current.spec.wants)):
                    contents.mean_runs[key] = mean_run(contents.mean_runs.get(key), run)
            if result is not None:
                contents.weigh(job, records.text(records.RESULT, result))
                current = replace(current, result=result, progress=100)
                if waveforms:
                    contents.waveforms[job.id] = tuple(waveforms)
            found = contents.finish(current, to, code, shorten(message))
            queue_id = job.spec.queue_id
            contents.refresh(queue_id)
            levels = (contents.wake_ups(queue_id, level, 1) for level in sorted(LEVELS, reverse=True))
            found = found or next((wake_ups for wake_ups in levels if wake_ups), [])
            found += contents.next_in_line(job.spec.wants)
        self._contents.send(found)

    def _use(self, job: Job, to: State, result: Result | None) -> None:
        contents = self._contents
        if to is not State.CANCEL:
            work_ms = (contents.clock() - (job.started or 0)) // 1000
            ended = "succeeded" if to is State.SUCCESS else "failed"
            contents.use(job.spec, **{ended: 1, f"work_ms:{job.device}": work_ms})
        if result is not None:
            audio_ms, bytes_in, bytes_out = result.usage()
            contents.use(job.spec, audio_ms=audio_ms, bytes_in=bytes_in, bytes_out=bytes_out)
