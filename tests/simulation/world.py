"""The processes of the service, its clients, and what disturbs them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from stemline.callbacks.delivery import DeliveryService
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import IllegalTransition, RequestRefused, StemlineError, TryAgain
from stemline.jobs.ids import queue_id_of
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.serving import COMMON
from stemline.jobs.states import QueueState
from stemline.jobs.store import Idempotency, RedisStore
from stemline.jobs.store.durability import Durability
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import REPORT_S, Worker
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets
from stemline.storage.clients import BucketClient
from stemline.workers.app import CALLBACKS, LEVELS, separate_queue
from stemline.workers.context import SeparationContext
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.separate import separate
from stemline.workers.sweep import Sweeper
from tests.chaos import stub
from tests.simulation.broker import Broker
from tests.simulation.bucket import Bucket, Client, Stored, freeze
from tests.simulation.choices import Choices
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.store import StoreServer

TENANT: Final = Tenant("media-1250000000", "ap-chongqing")
QUEUE: Final = queue_id_of(TENANT)
SWEEP_S: Final = 8.0
SERVES: Final = {"worker-1": ("2stems", "AudioAndBackground"), "worker-2": tuple(sorted(COMMON))}
"""What each worker can do."""
_SOURCE: Final = "in/{}"
FAVOURITES: Final = (
    *("none", "finish", "release", "uploads", "reclaim", "claim", "heartbeat", "create", "cancel", "queue"),
    *("open", "part", "complete_multipart_upload", "abort", "delete_object", "head", "callback"),
    *("record_attempt", "reserve", "reserve_leftover", "drop_leftover"),
)
"""Calls at two of which more goes wrong in a run."""


def make_settings(scratch: Path) -> Settings:
    """Return the settings of every run."""
    return Settings(
        durability="replica",
        buckets={"*": {"endpoint_url": "http://bucket.invalid"}},
        hosts={"*": {"bucket": TENANT.bucket, "region": TENANT.region}},
        scratch_dir=scratch,
        storage_patience_s=30,
        retry_delay_s=5,
        retry_delay_max_s=20,
        callback_schedule_s=(0, 3, 10, 20, 40, 40, 40, 40, 40, 40),
        callback_allow_networks=("127.0.0.0/8",),
        queue_max_concurrent=2,
    )


@dataclass
class Parts:
    """What all runs of a process share: it is slow to make, and keeps nothing of a run."""

    settings: Settings
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    def __post_init__(self) -> None:
        """Make the buckets; each run gives them clients of its own."""
        self._buckets = Buckets(self.settings)
        self.events = SimpleNamespace(job_started=_ignore, job_ended=_ignore)

    def buckets(self, bucket: Bucket, *, retry_budget_s: float) -> Buckets:
        """Return the product's buckets on a model of one."""
        found: Any = object.__new__(Buckets)
        vars(found).update(vars(self._buckets))
        client = BucketClient(Client(bucket), TENANT.bucket)
        found._clients = SimpleNamespace(for_bucket=lambda *_: client)
        found._retry_budget_s = retry_budget_s
        return cast("Buckets", found)


def _ignore(*_: object, **__: object) -> None:
    """Do nothing."""


@dataclass
class Seen:
    """What clients were answered and receivers were sent."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Job id to the key under which it was submitted."""
    cancelled: set[str] = field(default_factory=set)
    is_paused: bool = False
    """Whether the pause of the queue was answered, and its end not asked for."""
    callbacks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Job id to the states that its receiver was sent."""
    faults: list[str] = field(default_factory=list)
    """Promises that were broken on the way."""


class World:
    """One run: its servers, its processes and its clients."""

    def __init__(self, parts: Parts, socket: Path, choices: Choices) -> None:
        """Start everything."""
        self.parts, self.choices = parts, choices
        self.scheduler = Scheduler(choices)
        self.network = Process("network")
        self.bucket = Bucket(self.scheduler, self.network)
        self.broker = Broker(self.scheduler)
        self.server = StoreServer(socket, self.scheduler)
        self.seen = Seen(faults=self.scheduler.faults)
        self.options = replace(store_options(parts.settings), durability=Durability.REPLICA)
        self._clients = Process("client", is_client=True)
        self._busy = 0
        self.slots: dict[str, Process] = {}
        choices.rate = (0.0, 0.01, 0.03, 0.06)[choices.pick(4)]
        choices.favourites = frozenset(FAVOURITES[choices.pick(len(FAVOURITES))] for _ in range(2))

    def start(self) -> None:
        """Start the processes and the clients."""
        roles = {
            "worker-1": self._work,
            "worker-2": self._work,
            "sweeper-1": self._sweep,
            "sweeper-2": self._sweep,
            "callbacks": self._deliver,
        }
        self._roles = roles
        for name in roles:
            self._start(name)
        self.scheduler.spawn(Process("supervisor"), self._supervise)
        for number in range(1 + self.choices.pick(3)):
            self._client(lambda number=number: self._submit(number))
        self._client(self._operate)
        for _ in range(self.choices.pick(4)):
            self._client(self._disturb)

    @property
    def is_quiet(self) -> bool:
        """Whether clients and what disturbs them are at their end."""
        return not self._busy

    def _start(self, name: str) -> None:
        process = self.slots[name] = Process(name)
        role = self._roles[name]
        self.scheduler.spawn(process, lambda: role(process))

    def _supervise(self) -> None:
        """Start again what has died."""
        while True:
            self.scheduler.sleep(2.0)
            for name, process in self.slots.items():
                if process.is_dead:
                    self._start(name)

    def _open(self, **callbacks: Any) -> RedisStore:
        return self.server.open(self.options, **callbacks)

    # -- processes

    def _work(self, process: Process) -> None:
        """Take wake-ups and make attempts."""
        notifier, serves = CeleryNotifier(cast("Any", self.broker)), SERVES[process.name]
        context = SeparationContext(
            settings=self.parts.settings,
            store=self._open(notify=notifier.notify_workers),
            buckets=self.parts.buckets(self.bucket, retry_budget_s=30),
            notifier=notifier,
            tracer=Tracer(),
            metrics=self.parts.metrics,
            events=cast("Any", self.parts.events),
            shutdown=cast("Any", SimpleNamespace(requested=_no, grace_expired=_no)),
            engine=lambda *_: cast("Any", SimpleNamespace(device="simulated")),
            decoder=cast("Any", None),
            device_failed=_ignore,
            serves=lambda: serves,
        )
        names = ("", *serves)
        queues = tuple(separate_queue(level, wants) for level in LEVELS for wants in names)
        self.scheduler.spawn(process, lambda: self._report(process))
        self._serve(process, queues, lambda level: separate(context, process.name, wake_up_level=level))

    def _report(self, process: Process) -> None:
        """Report a worker again and again."""
        store = self._open()
        worker = Worker(process.name, "separation", 1, LEVELS, "", "", 0, serves=SERVES[process.name])
        while True:
            with suppress(StemlineError):
                store.workers.report(worker)
            self.scheduler.sleep(REPORT_S)

    def _deliver(self, process: Process) -> None:
        """Take requests for deliveries and make them."""
        service = DeliveryService(self._open(), self.parts.settings)
        receiver: Any = SimpleNamespace(send=self._receive)
        service._url = receiver
        self._serve(process, (CALLBACKS,), service.deliver)

    def _serve(self, process: Process, queues: tuple[str, ...], task: Callable[[Any], object]) -> None:
        """Take messages as Celery does; one whose process dies is delivered again, or not."""
        while True:
            self.scheduler.block(lambda: self.broker.has(queues))
            message = self.broker.take(queues)
            if message is None:
                continue
            try:
                task(message[1])
            except StemlineError as error:
                self.scheduler.note(f"the task ended with {type(error).__name__}")
            finally:
                if process.is_dead and not self.choices.rare(2):
                    self.broker.lists[message[0]].append(message[1])

    def _sweep(self, process: Process) -> None:
        """Sweep again and again."""
        notifier = CeleryNotifier(cast("Any", self.broker))
        sweeper = Sweeper(
            self.parts.settings,
            self._open(notify=notifier.notify_workers),
            self.parts.buckets(self.bucket, retry_budget_s=5),
            app=cast("Any", self.broker),
            notifier=notifier,
            metrics=self.parts.metrics,
            events=cast("Any", self.parts.events),
        )
        if process.name == "sweeper-2":
            self.scheduler.sleep(SWEEP_S / 2)
        while True:
            self.scheduler.sleep(SWEEP_S if not self.choices.is_calm else 2 * SWEEP_S)
            try:
                sweeper.sweep()
            except StemlineError as error:
                self.scheduler.note(f"the sweep ended with {type(error).__name__}")

    def _receive(self, url: str, body: bytes, *_: Any) -> Outcome:
        """Be the receiver of callbacks."""
        scheduler = self.scheduler
        fault, process = self.choices.rare(6, "callback"), scheduler.process()
        scheduler.point()
        if fault == 1:
            scheduler.kill(process)
        if fault == 2:
            return failed("500", "simulated")
        text = body.decode()
        job_id, state = _inner(text, "JobId"), _inner(text, "State")
        scheduler.note(f"callback: {job_id} {state}")
        self.seen.callbacks[job_id].append(state)
        if fault == 3:
            scheduler.kill(process)
        if fault == 4:
            return failed("timeout", "simulated")
        if fault == 5:
            freeze(scheduler, process)
        return Outcome(delivered=True, status="200")

    # -- clients

    def _client(self, act: Callable[[], None]) -> None:
        self._busy += 1

        def run() -> None:
            act()
            self._busy -= 1

        self.scheduler.spawn(self._clients, run)

    def _submit(self, number: int) -> None:
        """Submit a job, and perhaps cancel it."""
        scheduler, choices = self.scheduler, self.choices
        store = self._open(notify=CeleryNotifier(cast("Any", self.broker)).notify_workers)
        scheduler.sleep(choices.pick(4) * 2.0)
        data = stub.source(str(number), (2.0, 0.0, 6.0)[choices.pick(3)])
        self.bucket.objects[_SOURCE.format(number)] = Stored(data, "", 0)
        spec, key = job_spec(number, level=choices.pick(2)), f"key-{number}"
        while True:
            try:
                (job,) = store.jobs.create([spec], idempotency=Idempotency(key, "body"))
                break
            except TryAgain:
                scheduler.sleep(1.0)
        self.seen.accepted[job.id] = key
        scheduler.note(f"accepted {job.id}")
        if choices.pick(3) == 1:
            scheduler.sleep((0.0, 1.0, 4.0, 9.0)[choices.pick(4)] + choices.pick(16) * 0.13)
            self._cancel(store, job.id)

    def _cancel(self, store: RedisStore, job_id: str) -> None:
        while True:
            try:
                store.jobs.cancel(TENANT, [job_id])
                break
            except TryAgain:
                self.scheduler.sleep(1.0)
            except (IllegalTransition, RequestRefused) as error:
                if isinstance(error, RequestRefused):
                    self.seen.faults.append(f"an accepted job is unknown: {job_id}")
                return
        self.seen.cancelled.add(job_id)
        self.scheduler.note(f"cancelled {job_id}")

    def _operate(self) -> None:
        """Perhaps pause the queue for a while."""
        if self.choices.pick(2) == 0:
            return
        store = self._open(notify=CeleryNotifier(cast("Any", self.broker)).notify_workers)
        self.scheduler.sleep(self.choices.pick(4) * 3.0)
        if not self._set_queue(store, QueueState.PAUSED):
            return
        self.seen.is_paused = True
        self.scheduler.note("paused")
        self.scheduler.sleep((2.0, 15.0)[self.choices.pick(2)])
        self.seen.is_paused = False
        self.scheduler.note("resumes")
        self._set_queue(store, QueueState.ACTIVE)

    def _set_queue(self, store: RedisStore, state: QueueState) -> bool:
        while True:
            try:
                store.queues.update(TENANT, QUEUE, state=state)
            except TryAgain:
                self.scheduler.sleep(1.0)
            except StemlineError:
                return False  # nothing was submitted yet
            else:
                return True

    # -- what goes wrong elsewhere

    def _disturb(self) -> None:
        """Break one thing at some time."""
        scheduler, choices, server, bucket = self.scheduler, self.choices, self.server, self.bucket
        scheduler.sleep(choices.pick(12) * (1.7, 5.1)[choices.pick(2)])
        kind = choices.pick(10)
        until = scheduler.now + (4.0, 35.0)[choices.pick(2)]
        scheduler.note(f"disturbance {kind}")
        process = list(self.slots.values())[choices.pick(len(self.slots))]
        if kind in (1, 2):
            server.fail_over(choices.pick(server.unconfirmed() + 1))
        elif kind == 3:
            bucket.down_until = until
        elif kind == 4:
            bucket.forgets_until = until
        elif kind == 5:
            server.down_until = until
        elif kind == 6:
            self.broker.lists.clear()
        elif kind == 7:
            server.is_lagging = True
            scheduler.sleep(until - scheduler.now)
            server.is_lagging = False
        elif kind == 8:
            scheduler.kill(process)
        elif kind == 9:
            freeze(scheduler, process)

    def calm_down(self) -> None:
        """Let nothing go wrong from now on."""
        self.choices.is_calm = True
        self.bucket.down_until = self.bucket.forgets_until = self.server.down_until = 0.0
        self.server.is_lagging = False
        for process in self.slots.values():
            process.offset = 0.0

    def repeat_messages(self) -> None:
        """Deliver every message of the broker again, a day later."""
        self.scheduler.now += 86_400.0
        for queue, message in self.broker.sent:
            self.broker.lists[queue].append(message)


def job_spec(number: int, level: int) -> JobSpec:
    """Return what a client asks for."""
    mode = AudioMode.MUSIC_MODE if number == 1 else AudioMode.AUDIO_AND_BACKGROUND
    background = None if number == 1 else "out/${jobid}/bg"
    output = Output(TENANT.region, TENANT.bucket, object=background, au_object="out/${jobid}/voice")
    return JobSpec(
        TENANT,
        _SOURCE.format(number),
        VoiceSeparate(mode),
        output,
        level=level,
        callback=CallbackRequest(url="http://127.0.0.1/hook"),
    )


def _no(*_: object) -> bool:
    return False


def _inner(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text)
    return found[1] if found else ""
