"""Which job of an in-memory store starts next: turns of queues and shares, room, wake-ups."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from stemline.jobs.batch import BatchState
from stemline.jobs.job import Job
from stemline.jobs.queue import USUAL_WEIGHT
from stemline.jobs.share import step
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import WakeUp
from stemline.jobs.store.snapshot import LEVELS
from stemline.testing.in_memory_store.lines import Lines, served_lines


class Schedule(Lines):
    """What a store holds, and the order in which its jobs start."""

    def is_held(self, job: Job) -> bool:
        """Return whether the job's batch is paused."""
        batch = self.batches.get(job.spec.batch)
        return batch is not None and batch.state is BatchState.PAUSED

    def waiting(self, queue_id: str, level: int, wants: str | None = None) -> list[Job]:
        """Return the claimable jobs of a queue, oldest first; of all lines, or of one."""
        return [
            job
            for job in self.jobs.values()
            if job.spec.queue_id == queue_id
            and job.spec.level == level
            and job.state is State.SUBMITTED
            and job.id not in self.delayed
            and not self.is_held(job)
            and wants in {None, self.line_wants(job)}
        ]

    def running(self, queue_id: str) -> Counter[int]:
        """Return the running jobs of a queue by level."""
        specs = (self.jobs[job_id].spec for job_id in self.leases)
        return Counter(spec.level for spec in specs if spec.queue_id == queue_id)

    def room(self, queue_id: str, level: int, taken: Mapping[int, int] | None = None) -> int:
        """Return how many further jobs of a level may run in a queue, once ``taken`` jobs by level do too.

        It leaves to the levels above the slots that are reserved for them and free; one slot is for all.
        """
        queue = self.queues[queue_id]
        running = self.running(queue_id) + Counter(taken or {})
        reserved = {1: queue.reserved[0], 2: queue.reserved[1]}
        kept = sum(max(0, reserved[higher] - running[higher]) for higher in range(level + 1, 3))
        return queue.slots - running.total() - min(kept, queue.slots - 1)

    def refresh(self, queue_id: str) -> None:
        """Update whether a queue is ready at each level, after any change of the queue or its jobs."""
        is_active = self.queues[queue_id].state is QueueState.ACTIVE
        places = {*self.ready, *((level, wants) for level in LEVELS for wants in self.lines(queue_id))}
        for level, wants in places:
            turns = self.ready[level, wants]
            has_room = is_active and self.room(queue_id, level) > 0
            if not (has_room and self.waiting(queue_id, level, wants)):
                turns.pop(queue_id, None)
            elif queue_id not in turns:
                # Turns that pass while a queue is not ready are not made up for.
                turns[queue_id] = max(self.next_turn[queue_id, level], self.last_turn[level])

    def wake_ups(self, queue_id: str, level: int, limit: int) -> list[WakeUp]:
        """Return wake-ups for waiting jobs of a queue and level that may start now, of each of its lines."""
        return [
            each for wants in self.lines(queue_id) for each in self.wake_ups_of(queue_id, level, wants, limit)
        ]

    def wake_ups_of(self, queue_id: str, level: int, wants: str, limit: int) -> list[WakeUp]:
        """Return the wake-ups of one line; none where no worker would take them."""
        if queue_id not in self.ready[level, wants] or (wants and not self.is_served(wants)):
            return []
        count = min(self.room(queue_id, level), limit)
        jobs = itertools.islice(self.waiting(queue_id, level, wants), count)
        return [WakeUp(level, job.id, wants) for job in jobs]

    def next_in_line(self, wants: str) -> list[WakeUp]:
        """Return a wake-up for the next job of the line of a model of which a limited number may run."""
        if wants not in self.options.model_limits:
            return []
        for level in sorted(LEVELS, reverse=True):
            if turns := self.ready[level, wants]:
                first = min(turns, key=lambda queue_id: (turns[queue_id], queue_id))
                return self.wake_ups_of(first, level, wants, 1)
        return []

    def best(self, levels: Sequence[int], serves: Collection[str]) -> Job | None:
        """Return the job to start next: by level, turns of queues, turns of shares, and age.

        It may be one of the common line that the worker does not serve.
        """
        ageing_us = self.options.level_ageing_us
        best: tuple[int, int, Job] | None = None
        lines = served_lines(serves)
        for level in sorted(levels, reverse=True):
            heads = [(turn, queue) for wants in lines for queue, turn in self.ready[level, wants].items()]
            if not heads:
                continue
            job = self.first_in_lines(min(heads)[1], level, lines)
            if not ageing_us:
                return job
            rank = level + max(0, self.clock() - job.created) // ageing_us
            candidate = (rank, -job.created, job)
            if best is None or candidate[:2] > best[:2]:
                best = candidate
        return None if best is None else best[2]

    def weight_of(self, share: str) -> int:
        """Return the weight of a share now."""
        known = self.shares.get(share)
        return USUAL_WEIGHT if known is None else known.at(self.clock())

    def turns_of_shares(self, queue_id: str, level: int, lines: Collection[str]) -> dict[str, int]:
        """Return the turns of the shares that have claimable jobs in lines; empty if none has a weight."""
        found = {job.spec.share for wants in lines for job in self.waiting(queue_id, level, wants)}
        last = self.last_share[queue_id, level]
        turns = {share: max(last, self.next_share[queue_id, level, share]) for share in found}
        return turns if found - {""} else {}

    def first_in_lines(self, queue_id: str, level: int, lines: Collection[str]) -> Job:
        """Return the job of some lines of a queue and level whose turn it is."""
        turns = self.turns_of_shares(queue_id, level, lines)
        heads = [job for wants in lines if (job := next(self.line(queue_id, level, wants), None))]
        return min(heads, key=lambda job: (turns.get(job.spec.share, 0), job.spec.share, job.created))

    def line(self, queue_id: str, level: int, wants: str) -> Iterator[Job]:
        """Return the claimable jobs of a line in the order in which they are claimed."""
        jobs = self.waiting(queue_id, level, wants)
        turns = self.turns_of_shares(queue_id, level, [wants])
        if not turns:
            yield from jobs
            return
        lists = {share: deque(job for job in jobs if job.spec.share == share) for share in turns}
        while lists:
            share = min(lists, key=lambda share: (turns[share], share))
            yield lists[share].popleft()
            turns[share] += step(self.weight_of(share))
            if not lists[share]:
                del lists[share]

    def end_turn(self, job: Job, serves: Collection[str]) -> None:
        """Move the turn of the share of a job that is claimed now; it still waits."""
        queue_id, level, share = job.spec.queue_id, job.spec.level, job.spec.share
        lines = served_lines(serves)
        turns = self.turns_of_shares(queue_id, level, lines)
        if turns:
            self.last_share[queue_id, level] = turns[share]
            self.next_share[queue_id, level, share] = turns[share] + step(self.weight_of(share))

    def set_weight(self, queue_id: str, before: int, after: int) -> None:
        """Count anew what the last turns of a queue moved, as its weight changes."""
        for level, served in self.last_turn.items():
            turn = self.next_turn[queue_id, level]
            if turn > served:
                self.next_turn[queue_id, level] = turn = served + (turn - served) * before / after
                for wants in self.lines(queue_id):
                    if queue_id in self.ready[level, wants]:
                        self.ready[level, wants][queue_id] = turn

    def end_overrides(self) -> list[WakeUp]:
        """End the temporary limits of queues whose time has come; return wake-ups."""
        found: list[WakeUp] = []
        for queue in list(self.queues.values()):
            if queue.override is not None and queue.override.until <= self.clock():
                self.queues[queue.id] = replace(queue, override=None)
                self.set_weight(queue.id, queue.turns, queue.weight)
                self.refresh(queue.id)
                self.publish_event(queue.tenant, "queue", queue.id, queue.state)
                for level in sorted(LEVELS, reverse=True):
                    found += self.wake_ups(queue.id, level, 100)
        return found
