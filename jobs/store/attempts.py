"""Attempts at jobs in Redis: every change is one script, which refuses a stale token."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stemline.jobs.callback_target import callback_target
from stemline.jobs.errors import CancelAsked, LeaseLost
from stemline.jobs.job import Job, Result, Waveform
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.serving import COMMON
from stemline.jobs.states import State
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols.attempts import AttemptRepository
from stemline.jobs.store.values import Reuse, Uploads
from stemline.jobs.text import shorten

_FOLLOWS_US = 300_000_000
"""How long a job waits for an equal one that runs, before it looks again, µs."""
_FOLLOWERS = 1000
"""Jobs that go on at once when the equal one ends; more of them look again after a while."""
_FOLLOWS_LATER_US = 5_000_000
"""When these look again, µs after that end."""


class RedisAttempts(AttemptRepository):
    """Attempts at jobs in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, worker: str, levels: Sequence[int], serves: Collection[str] = COMMON) -> Job | None:
        by_preference = sorted(levels, reverse=True)
        options = self._connection.options
        numbers = [options.lease_us, options.level_ageing_us, len(by_preference), *by_preference]
        limits = options.model_limits
        names = [f"{name}={limits[name]}" if name in limits else name for name in sorted(serves)]
        while True:
            answer = self._connection.run("claim", worker, *numbers, *names)
            self._connection.wake_up(answer[1])
            if answer[0] != "again":
                return records.job(answer[2]) if answer[0] == "job" else None

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
        left_us = "" if remaining_s is None else round(remaining_s * 1e6)
        answer = self._connection.run(
            "heartbeat", job_id, token, self._connection.options.lease_us, progress, device, stage, left_us
        )
        if answer == -1:
            raise LeaseLost
        return bool(answer == 1)

    def register_uploads(self, job_id: str, token: int, uploads: Sequence[Mapping[str, Any]]) -> None:
        if self._connection.run("uploads", job_id, token, json.dumps(list(uploads))) == -1:
            raise LeaseLost

    def reuse(self, job_id: str, token: int, digest: str, *, without: str = "") -> Reuse:
        limits = (_FOLLOWS_US, _FOLLOWERS, _FOLLOWS_LATER_US)
        answer = self._connection.run("reuse", job_id, token, digest, without, *limits)
        if answer[0] == "waits":
            self._connection.wake_up(answer[1])
            return Reuse(waits=True)
        if answer[0] == "done":
            return Reuse(done=str(answer[1]))
        if answer[0] != "leads":
            raise LeaseLost if answer[0] == "lost" else CancelAsked
        return Reuse()

    def succeed(
        self, job: Job, result: Result, waveforms: Sequence[Waveform] = (), *, digest: str = ""
    ) -> None:
        drawn = records.text(records.WAVEFORMS, tuple(waveforms)) if waveforms else ""
        self._finish(job, State.SUCCESS, "Success", "", result, waveforms=drawn, digest=digest)

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
        values = (round(delay_s * 1e6), int(counts), shorten(reason), _left(leftovers))
        self._accept(self._connection.run("release", job.id, job.token, *values))

    def expired(self, limit: int = 100) -> list[str]:
        connection = self._connection
        leases, now = connection.key("leases"), connection.now()
        found = connection.read(connection.client.zrangebyscore, leases, "-inf", now, start=0, num=limit)
        return [str(job_id) for job_id in found]

    def reclaim(self, job_id: str, sweeper: str) -> Job | None:
        return records.job(
            self._connection.run("reclaim", job_id, sweeper, self._connection.options.lease_us) or ()
        )

    def _finish(
        self,
        job: Job,
        state: State,
        code: str,
        message: str,
        result: Result | None = None,
        *,
        waveforms: str = "",
        digest: str = "",
        leftovers: Uploads = (),
    ) -> None:
        target = None
        if state is not State.CANCEL:
            target = callback_target(job.spec, self._queue_defaults(job.spec.queue_id))
        target_text = records.text(records.TARGET, target) if target else ""
        result_text = records.text(records.RESULT, result) if result else ""
        texts = (code, shorten(message), result_text, target_text, waveforms)
        used = result.usage() if result else (0, 0, 0)
        reuse = (digest, int(bool(result and result.reused)))
        answer = self._connection.run(
            "finish",
            job.id,
            job.token,
            state,
            *texts,
            job.spec.credential,
            *used,
            *reuse,
            _left(leftovers),
        )
        self._accept(answer)

    def _queue_defaults(self, queue_id: str) -> NotifyConfig:
        """Return a queue's callback defaults."""
        connection = self._connection
        text = connection.read(connection.client.hget, connection.key("queue", queue_id), "notify")
        return records.NOTIFY.validate_json(text) if text else NotifyConfig()

    def _accept(self, answer: Sequence[Any]) -> None:
        """Send the wake-ups of a script that ended an attempt.

        Raises:
            CancelAsked: The job is to be cancelled.
            LeaseLost: The token is stale.
        """
        if answer[0] == "lost":
            raise LeaseLost
        if answer[0] == "cancel":
            raise CancelAsked
        self._connection.wake_up(answer[1])


def _left(uploads: Uploads) -> str:
    """Return uploads that could not be removed, in the form that scripts take."""
    return json.dumps(list(uploads)) if uploads else ""
