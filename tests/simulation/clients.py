"""The clients of a run: they submit, look, cancel, retry and pause over the API, single jobs and batches."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from stemline.jobs.ids import queue_id_of
from stemline.jobs.tenant import Tenant
from stemline.wire.times import format_time
from tests.chaos import stub
from tests.simulation.api import Answer, Network
from tests.simulation.bucket import Bucket, Stored
from tests.simulation.choices import Choices
from tests.simulation.scheduler import Process, Scheduler

TENANT: Final = Tenant("media-1250000000", "ap-chongqing")
QUEUE: Final = queue_id_of(TENANT)
_ENDED: Final = frozenset({"Success", "Failed", "Cancel"})
_RETRIABLE: Final = frozenset({"Failed", "Cancel"})
_LOOKS: Final = 8
"""How often a client looks whether something has ended, before it gives up."""
_SOURCE: Final = "in/{}"


@dataclass(eq=False)
class BatchSeen:
    """What a client knows of its batch."""

    rows: int
    is_paused: bool = False
    """Whether its pause was answered, and its end not asked for."""
    cancel_asked: bool = False
    is_cancelled: bool = False
    """Whether its cancel was answered."""


@dataclass
class Seen:
    """What clients were answered and receivers were sent."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Job id to the key under which it was submitted, also as its user data."""
    origins: dict[str, str] = field(default_factory=dict)
    """Id of an accepted retry to the job that it retries."""
    doubtful: set[str] = field(default_factory=set)
    """Keys of submissions that were refused when they were repeated: there may be a job."""
    cancel_asked: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    is_paused: bool = False
    """Whether the pause of the queue was answered, and its end not asked for."""
    batches: dict[str, BatchSeen] = field(default_factory=dict)
    callbacks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Id of a job or batch to what its receiver was sent: its state, of a batch with its counts."""
    faults: list[str] = field(default_factory=list)
    """Promises that were broken on the way."""


class Clients:
    """Starts tasks of clients."""

    def __init__(self, scheduler: Scheduler, network: Network, bucket: Bucket, seen: Seen) -> None:
        """Start none yet."""
        self._scheduler, self._network, self._bucket, self._seen = scheduler, network, bucket, seen
        self._choices: Choices = scheduler.choices
        self._process = Process("client", is_client=True)
        self.busy = 0
        """Clients that are not at their end."""

    def start(self) -> None:
        """Start as many as the choices say."""
        for number in range(1 + self._choices.pick(3)):
            self.run(lambda number=number: self._submit(number))
        if self._choices.pick(3) == 1:
            self.run(self._submit_batch)
        self.run(self._operate)

    def run(self, act: Callable[[], None]) -> None:
        """Start a task; until it is at its end the run goes on."""
        self.busy += 1

        def act_and_end() -> None:
            act()
            self.busy -= 1

        self._scheduler.spawn(self._process, act_and_end)

    def _fault(self, text: str) -> None:
        self._seen.faults.append(text)
        self._scheduler.note(f"FAULT: {text}")

    def _put(self, source: str, seconds: float) -> None:
        key = _SOURCE.format(source)
        if key not in self._bucket.objects:
            self._bucket.objects[key] = Stored(stub.source(source, seconds), "", 0)

    # -- single jobs

    def _submit(self, number: int) -> None:
        """Submit a job, and perhaps look at it, cancel it, and retry it."""
        scheduler, choices = self._scheduler, self._choices
        scheduler.sleep(choices.pick(4) * 2.0)
        source = str(number if choices.pick(3) != 1 else 0)  # perhaps that of another job
        self._put(source, (2.0, 0.0, 6.0)[choices.pick(3)])
        key = f"key-{number}"
        body = {"Input": {"Object": _SOURCE.format(source)}, **_what(source == "1", key, choices.pick(2))}
        job_id = self._accept(body | self._times(), key)
        if job_id is None:
            return
        after_s = (0.0, 1.0, 4.0, 9.0)[choices.pick(4)] + choices.pick(16) * 0.13
        act = choices.pick(6)
        if act in (1, 2):
            scheduler.sleep(after_s)
            self._cancel(job_id)
        if act == 2:
            self._retry(job_id)
        if act == 3:
            scheduler.sleep(after_s)
            self._state(job_id)

    def _times(self) -> dict[str, str]:
        """Return when a job may start, must start, and how long it may run, if that is limited."""
        now, choices = self._scheduler.now, self._choices
        found = {}
        kind = choices.pick(6)
        if kind == 1:
            found["NotBefore"] = format_time(round((now + 3 + choices.pick(8)) * 1e6))
        elif kind == 2:
            found["Deadline"] = format_time(round((now + 2 + choices.pick(12)) * 1e6))
        elif kind == 3:
            found["Timeout"] = "3"
        return found

    def _accept(self, body: dict[str, Any], key: str) -> str | None:
        """Submit a job until the answer is known; return its id if it was accepted."""
        answer = self._network.insist("POST", "/jobs", body, key=key)
        if answer.status != 200:
            self._seen.doubtful.add(key)
            if "Deadline" not in body:
                self._fault(f"a submission was refused: {answer}")
            return None
        return self._accepted(answer, key)

    def _accepted(self, answer: Answer, key: str) -> str:
        (job,) = answer.content["JobsDetail"]
        job_id = str(job["JobId"])
        self._seen.accepted[job_id] = key
        self._scheduler.note(f"accepted {job_id}")
        return job_id

    def _cancel(self, job_id: str) -> None:
        self._seen.cancel_asked.add(job_id)
        answer = self._network.insist("PUT", f"/jobs/{job_id}?cancel")
        if answer.status == 200:
            self._seen.cancelled.add(job_id)
            self._scheduler.note(f"cancelled {job_id}")
        elif answer.status != 409 and "does not exist" in str(answer.content):
            self._fault(f"an accepted job is unknown: {job_id}")

    def _state(self, job_id: str) -> str:
        """Return the state of an accepted job."""
        answer = self._network.insist("GET", f"/jobs/{job_id}")
        jobs = answer.content.get("JobsDetail") or []
        if answer.status != 200 or [job["JobId"] for job in jobs] != [job_id]:
            self._fault(f"an accepted job is not shown: {job_id} {answer}")
            return ""
        return str(jobs[0]["State"])

    def _retry(self, job_id: str) -> None:
        """Retry a job once it has failed or was cancelled."""
        key = f"retry-{job_id}"
        while True:
            if not self._look(lambda: self._state(job_id) in _ENDED):
                return
            if self._state(job_id) not in _RETRIABLE:
                return
            answer = self._network.insist("POST", f"/jobs/{job_id}/retry", key=key)
            if answer.status == 200:
                self._seen.origins[self._accepted(answer, key)] = job_id
                return
            if self._state(job_id) in _ENDED:
                self._fault(f"a retry was refused: {answer}")
                return  # otherwise a failover undid an end that was shown before it was confirmed

    def _look(self, is_over: Callable[[], bool]) -> bool:
        """Look from time to time; return whether it is over."""
        for _ in range(_LOOKS):
            if is_over():
                return True
            self._scheduler.sleep(10.0)
        return False

    # -- batches

    def _submit_batch(self) -> None:
        """Submit a batch, and perhaps pause it, cancel it, or retry its failed rows."""
        scheduler, choices = self._scheduler, self._choices
        scheduler.sleep(choices.pick(4) * 2.0)
        names = [f"row-{number}" for number in range(2 + choices.pick(3))]
        act = choices.pick(5)
        for name in names[1:] if act == 4 else names:  # a row whose source is missing fails
            self._put(name, (0.0, 2.0)[choices.pick(2)])
        rows = [{"Object": _SOURCE.format(name), "UserData": name} for name in names]
        lines = [_what(False, "row", choices.pick(2)), *rows]
        while True:
            answer = self._network.insist("POST", "/batches", lines, key="batch", lines=True)
            if answer.status != 409:
                break
            scheduler.sleep(1.0)  # an earlier request, whose answer was lost, still sends it
        if answer.status != 200:
            self._fault(f"a batch was refused: {answer}")
            return
        name = str(answer.content["Batch"]["BatchId"])
        seen = self._seen.batches[name] = BatchSeen(len(names))
        scheduler.note(f"accepted {name}")
        scheduler.sleep(choices.pick(4) * 2.0)  # often with the ticker
        if act == 2:
            self._pause(name, seen)
        elif act == 3:
            seen.cancel_asked = True
            seen.is_cancelled = self._change(name, "cancel")
        elif act == 4 and self._look(lambda: self._batch_state(name) == "Done"):
            self._put(names[0], 0.0)
            if not self._change(name, "retry"):
                self._fault("the rows of a batch were not retried")

    def _pause(self, name: str, seen: BatchSeen) -> None:
        seen.is_paused = self._change(name, "pause")
        self._scheduler.sleep((2.0, 15.0)[self._choices.pick(2)])
        if seen.is_paused:
            seen.is_paused = False
            if not self._change(name, "resume") and self._batch_state(name) != "Done":
                self._fault(f"a paused batch was not resumed: {name}")

    def _change(self, name: str, how: str) -> bool:
        """Change a batch; return whether that was obeyed."""
        answer = self._network.insist("POST", f"/batches/{name}/{how}")
        if answer.status == 404:
            self._fault(f"an accepted batch is unknown: {name}")
        return answer.status == 200

    def _batch_state(self, name: str) -> str:
        answer = self._network.insist("GET", f"/batches/{name}")
        if answer.status != 200:
            self._fault(f"an accepted batch is not shown: {name} {answer}")
            return ""
        return str(answer.content["Batch"]["State"])

    # -- the queue

    def _operate(self) -> None:
        """Perhaps pause the queue for a while."""
        if self._choices.pick(2) == 0:
            return
        self._scheduler.sleep(self._choices.pick(4) * 3.0)
        if not self._set_queue("Paused"):
            return  # nothing was submitted yet
        self._seen.is_paused = True
        self._scheduler.note("paused")
        self._scheduler.sleep((2.0, 15.0)[self._choices.pick(2)])
        self._seen.is_paused = False
        self._scheduler.note("resumes")
        if not self._set_queue("Active"):
            self._fault("the queue was not resumed")

    def _set_queue(self, state: str) -> bool:
        body = {"Name": "queue-speech-1", "QueueID": QUEUE, "State": state}
        return self._network.insist("PUT", f"/queue/{QUEUE}", body).status == 200


def _what(is_music: bool, user_data: str, level: int) -> dict[str, Any]:
    """Return what is asked for of a source."""
    output = {"Region": TENANT.region, "Bucket": TENANT.bucket, "AuObject": "out/${jobid}/voice"}
    output |= {} if is_music else {"Object": "out/${jobid}/bg"}
    mode = "MusicMode" if is_music else "AudioAndBackground"
    operation = {
        "VoiceSeparate": {"AudioMode": mode},
        "Output": output,
        "UserData": user_data,
        "JobLevel": str(level),
    }
    return {"Tag": "VoiceSeparate", "Operation": operation, "CallBack": "http://127.0.0.1/hook"}


def sent(body: str) -> tuple[str, str]:
    """Return id and end of what a callback announces."""
    if batch := _inner(body, "BatchId"):
        counts = (_inner(body, f"{state}Count") for state in ("Success", "Failed", "Cancel"))
        return batch, batch_end(_inner(body, "State"), counts)
    return _inner(body, "JobId"), _inner(body, "State")


def batch_end(state: str, counts: Iterable[object]) -> str:
    """Return the end of a batch: its state, and how many rows succeeded, failed and were cancelled."""
    return f"{state} {' '.join(map(str, counts))}"


def _inner(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text)
    return found[1] if found else ""
