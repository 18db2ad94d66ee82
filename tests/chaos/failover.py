"""``python -m tests.chaos.failover``: replace the primary many times while jobs are submitted and run."""

from __future__ import annotations

import argparse
import itertools
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from stemline.jobs.states import State
from stemline.runtime.store import open_store
from stemline.testing.peer_proxy import PeerProxy
from stemline.testing.processes import eventually
from stemline.testing.sentinels import DataServer, SentinelGroup, sentinel_group
from tests.chaos.clients import Client, Receiver
from tests.chaos.failover_runs import Outcome, Runs
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS, Report, check_callbacks, check_objects, everything, settle, wait

REPLICAS: Final = 2
"""With one, no change could be confirmed while either server is down."""
BACK_S: Final = 30.0
"""How soon after a promotion a job that is submitted then must have ended and been reported, s."""


class Storm:
    """The servers and the service, and the faults that replace the primary."""

    def __init__(self, group: SentinelGroup, proxies: Mapping[int, PeerProxy], chance: random.Random) -> None:
        """Hold what runs."""
        self._group = group
        self._proxies = proxies
        self._chance = chance
        self.kinds: dict[str, Callable[[], DataServer]] = {
            "killed": self._kill,
            "hung": self._hang,
            "demoted, coordinated": group.demote_primary,
            "demoted, writes paused": lambda: group.demote_primary(coordinated=False),
            "cut off": self._cut_off,
            "killed while a replica lags": self._kill_with_lag,
        }

    def replace(self, kind: str) -> None:
        """Replace the primary by one of the faults; the former one is no replica yet."""
        self._former = self.kinds[kind]()

    def repair(self) -> None:
        """End the fault, and wait until every other server is a replica that has caught up."""
        former = self._former
        self._proxies[former.port].reunite()
        if former.process is not None and former.process.poll() is not None:
            former.start()
        _signal(former, signal.SIGCONT)
        self._group.await_replicas()

    def _kill(self) -> DataServer:
        return self._group.kill_primary()

    def _hang(self) -> DataServer:
        hung = self._group.primary()
        _signal(hung, signal.SIGSTOP)
        self._group.await_another_than(hung)
        return hung

    def _cut_off(self) -> DataServer:
        """Cut the primary off from replicas and Sentinels; clients that are connected still write to it."""
        lonely = self._group.primary()
        self._proxies[lonely.port].cut_off()
        self._group.await_another_than(lonely)
        return lonely

    def _kill_with_lag(self) -> DataServer:
        primary = self._group.primary()
        late = self._chance.choice([each for each in self._group.servers if each is not primary])
        _signal(late, signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.2, 1))
        try:
            return self._group.kill_primary()
        finally:
            _signal(late, signal.SIGCONT)


def _signal(server: DataServer, number: int) -> None:
    if server.process is not None and server.process.poll() is None:
        os.kill(server.process.pid, number)


@contextmanager
def _servers(folder: Path, chance: random.Random) -> Iterator[tuple[SentinelGroup, Storm]]:
    with ExitStack() as stack:
        proxies: dict[int, PeerProxy] = {}

        def reached_at(port: int) -> int:
            proxies[port] = stack.enter_context(PeerProxy(port))
            return proxies[port].port

        group = stack.enter_context(sentinel_group(folder, replicas=REPLICAS, reached_at=reached_at))
        yield group, Storm(group, proxies, chance)


def run(count: int, durability: str, seed: int, *, log: Callable[[str], None] = print) -> Outcome:
    """Run the service, replace the primary so many times, wait for the end of all work, and check it."""
    folder = Path(tempfile.mkdtemp(prefix="stemline-failover-"))
    chance = random.Random(seed)
    ledger, outcome = Ledger(), Outcome(durability, seed)
    receiver = Receiver(ledger)
    with _servers(folder, chance) as (group, storm):
        service = Service(folder, **SETTINGS, redis_url=group.url, durability=durability)
        client = Client(service, ledger, receiver.url, seed)
        try:
            service.start()
            client.start()
            wait(lambda: bool(ledger.called_at), 180, "the first callback")
            began = time.monotonic()
            for number in range(1, count + 1):
                _replace(storm, list(storm.kinds)[number % len(storm.kinds)], service, ledger, outcome)
                if number % 10 == 0:
                    log(f"{number} failovers, {len(ledger.accepted)} jobs accepted")
            client.stop()
            outcome.lasted_s = time.monotonic() - began
            _check(service, ledger, outcome)
        except TimeoutError as error:
            outcome.faults.append(f"waited in vain for {error}")
        finally:
            service.stop()
            receiver.close()
    if outcome.faults:
        log(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _replace(storm: Storm, kind: str, service: Service, ledger: Ledger, outcome: Outcome) -> None:
    """Replace the primary once, and measure how long it takes until jobs are done again."""
    time.sleep(0.5)
    began = time.monotonic()
    storm.replace(kind)
    promoted = time.monotonic()
    outcome.failovers[kind] += 1
    outcome.replaced_s.append(promoted - began)

    def done() -> bool:
        for name in service.exited():
            outcome.faults.append(f"{name} ended by itself after the primary was {kind}")
            service.restart(name)
        with ledger.lock:
            return any(
                ledger.accepted_at.get(job_id, 0) > promoted for job_id in list(ledger.called_at)[-200:]
            )

    try:
        eventually(done, 180, "a job after the promotion")
    finally:
        storm.repair()
    back_s = min(
        at for job_id, at in ledger.called_at.items() if ledger.accepted_at.get(job_id, 0) > promoted
    )
    outcome.back_s.setdefault(kind, []).append(back_s - promoted)
    if outcome.back_s[kind][-1] > BACK_S:
        outcome.faults.append(f"jobs were done {outcome.back_s[kind][-1]:.1f} s after the primary was {kind}")


def _check(service: Service, ledger: Ledger, outcome: Outcome) -> None:
    store = open_store(service.settings)
    found = Report(outcome.seed)
    if not settle(service, store, found):
        outcome.faults.append("work was left after the last failover")
    jobs = {job.id: job for job in everything(store)}
    store.close()
    outcome.accepted, outcome.refused = len(ledger.accepted), len(ledger.refused)
    outcome.states = Counter(job.state for job in jobs.values() if job.id in ledger.accepted)
    lost = set(ledger.accepted) - set(jobs)
    undone = {each for each in ledger.cancelled & set(jobs) if jobs[each].state is not State.CANCEL}
    outcome.lost, outcome.lost_cancels = len(lost), len(undone)
    check_callbacks(jobs, ledger, found)
    check_objects(service, jobs, found)
    twice = [job_id for job_id, states in ledger.callbacks.items() if len(set(states)) > 1]
    outcome.done_twice = found.stale_writes + len(twice)
    outcome.faults += found.faults
    outcome.faults += [f"server error: {text}" for text in ledger.server_errors]
    outcome.faults += [f"lost: {job_id}" for job_id in sorted(lost)]
    outcome.faults += [f"a cancellation was lost: {job_id} {jobs[job_id].state}" for job_id in sorted(undone)]
    outcome.faults += [f"announced with two ends: {job_id}" for job_id in twice]


def main() -> int:
    """Make failovers with each durability, until there are as many as wanted with those of earlier runs."""
    parser = argparse.ArgumentParser(prog="make failover", description=__doc__)
    parser.add_argument("--failovers", type=int, default=200, help="with durability replica, in all")
    parser.add_argument("--process", type=int, default=50, help="with durability process, in all")
    parser.add_argument("--each", type=int, default=25, help="of one run, which is kept when it ends")
    parser.add_argument("--seed", type=int, default=None, help="of the first run; later ones count on")
    parser.add_argument("--name", default="", help="of files in benchmarks/results; none without")
    asked = parser.parse_args()
    seeds = itertools.count(secrets.randbelow(10**6) if asked.seed is None else asked.seed)
    console = Console(width=110)
    runs, failed = Runs(asked.name), False
    for durability, wanted in (("replica", asked.failovers), ("process", asked.process)):
        while not failed and (missing := wanted - runs.count(durability)) > 0:
            outcome = run(
                min(asked.each, missing),
                durability,
                next(seeds),
                log=lambda text: console.print(text, style="dim"),
            )
            runs.add(outcome)
            for fault in outcome.faults[:30]:
                console.print(fault, style="red", soft_wrap=True)
            # Without confirmation by a replica, losses are expected: they are counted, not faults.
            failed = durability == "replica" and bool(outcome.faults)
        if (total := runs.total(durability)) is not None:
            for what, text in total.rows():
                console.print(f"{what}: {text}", soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
