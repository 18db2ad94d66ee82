"""The processes of the service, its clients, and what disturbs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from stemline.callbacks.delivery import DeliveryService
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.errors import StemlineError
from stemline.jobs.serving import COMMON
from stemline.jobs.store import RedisStore
from stemline.jobs.store.durability import Durability
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
from stemline.workers.ticker import Ticker
from tests.simulation.api import Answer, Application, Network
from tests.simulation.broker import Broker
from tests.simulation.bucket import Bucket, Client, freeze
from tests.simulation.choices import Choices
from tests.simulation.clients import TENANT, Clients, Seen, sent
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.store import StoreServer
from tests.simulation.valkey import Valkey

SWEEP_S: Final = 8.0
TICK_S: Final = 4.0
SERVES: Final = {"worker-1": ("2stems", "AudioAndBackground"), "worker-2": tuple(sorted(COMMON))}
"""What each worker can do."""
FAVOURITES: Final = (
    *("none", "finish", "release", "uploads", "reclaim", "claim", "heartbeat", "create", "cancel", "queue"),
    *("open", "part", "complete_multipart_upload", "abort", "delete_object", "head", "callback"),
    *("request", "select", "batch", "reuse", "copy", "expire", "promote"),
    *("record_attempt", "reserve", "reserve_leftover", "drop_leftover"),
)
"""Calls at two of which more goes wrong in a run."""


def make_settings(scratch: Path) -> Settings:
    """Return the settings of every run."""
    return Settings(
        durability="replica",
        anonymous_access=True,
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
        reusing = self.settings.model_copy(
            update={"jobs": self.settings.jobs.model_copy(update={"reuse": True})}
        )
        self.applications = [Application(each) for each in (self.settings, reusing)]
        """The API without and with reuse of stems."""
        self.events = SimpleNamespace(job_started=_ignore, job_ended=_ignore)

    def buckets(self, bucket: Bucket, *, retry_budget_s: float) -> Buckets:
        """Return the product's buckets on a model of one."""
        found: Any = object.__new__(Buckets)
        vars(found).update(vars(self._buckets))
        client = BucketClient(Client(bucket), TENANT.bucket)
        found._clients = SimpleNamespace(for_bucket=lambda *_: client, keeps_files=_no)
        found._retry_budget_s = retry_budget_s
        return cast("Buckets", found)


def _ignore(*_: object, **__: object) -> None:
    """Do nothing."""


class World:
    """One run: its servers, its processes and its clients."""

    def __init__(self, parts: Parts, valkey: Valkey, choices: Choices) -> None:
        """Start everything."""
        self.parts, self.choices = parts, choices
        self.scheduler = Scheduler(choices)
        self.network = Process("network")
        self.bucket = Bucket(self.scheduler, self.network)
        self.broker = Broker(self.scheduler)
        self.server = StoreServer(valkey, self.scheduler)
        self.seen = Seen(faults=self.scheduler.faults)
        host = f"{TENANT.bucket}.ci.{TENANT.region}.myqcloud.com"
        self.api = Network(self.scheduler, host, self._answer)
        self.clients = Clients(self.scheduler, self.api, self.bucket, self.seen)
        self.options = replace(store_options(parts.settings), durability=Durability.REPLICA)
        self.slots: dict[str, Process] = {}
        self._stores: dict[Process, RedisStore] = {}
        self.reuses = choices.pick(2) == 1
        """Whether stems of equal jobs are used again."""
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
            "ticker": self._tick,
            "api-1": self._serve_requests,
            "api-2": self._serve_requests,
        }
        self._roles = roles
        for name in roles:
            self._start(name)
        self.scheduler.spawn(Process("supervisor"), self._supervise)
        self.clients.start()
        for _ in range(self.choices.pick(4)):
            self.clients.run(self._disturb)

    @property
    def is_quiet(self) -> bool:
        """Whether clients and what disturbs them are at their end."""
        return not self.clients.busy

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

    def _tick(self, process: Process) -> None:
        """Look again and again at what is due."""
        ticker = Ticker(self._open(notify=CeleryNotifier(cast("Any", self.broker)).notify_workers))
        while True:
            self.scheduler.sleep(TICK_S if not self.choices.is_calm else 2 * TICK_S)
            try:
                ticker.tick()
            except StemlineError as error:
                self.scheduler.note(f"the tick ended with {type(error).__name__}")

    def _serve_requests(self, process: Process) -> None:
        """Let requests of clients come to a process, each in a task of its own."""
        notifier = CeleryNotifier(cast("Any", self.broker))
        self._stores[process] = self._open(notify=notifier.notify_workers)
        self.api.processes[process.name] = process

    def _answer(
        self, process: Process, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Answer a request in one of the API's processes."""
        application = self.parts.applications[self.reuses]
        buckets = self.parts.buckets(self.bucket, retry_budget_s=5)
        return application.call(self._stores[process], buckets, method, target, headers, body)

    def _receive(self, url: str, body: bytes, *_: Any) -> Outcome:
        """Be the receiver of callbacks."""
        scheduler = self.scheduler
        fault, process = self.choices.rare(6, "callback"), scheduler.process()
        scheduler.point()
        if fault == 1:
            scheduler.kill(process)
        if fault == 2:
            return failed("500", "simulated")
        name, end = sent(body.decode())
        scheduler.note(f"callback: {name} {end}")
        self.seen.callbacks[name].append(end)
        if fault == 3:
            scheduler.kill(process)
        if fault == 4:
            return failed("timeout", "simulated")
        if fault == 5:
            freeze(scheduler, process)
        return Outcome(delivered=True, status="200")

    # -- what goes wrong elsewhere

    def _disturb(self) -> None:
        """Break one thing at some time."""
        scheduler, choices, server, bucket = self.scheduler, self.choices, self.server, self.bucket
        scheduler.sleep(choices.pick(12) * (1.7, 5.1)[choices.pick(2)])
        kind = choices.pick(10)
        choices.has_harmed |= kind > 0
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


def _no(*_: object) -> bool:
    return False
