"""The events that one process keeps for its listeners."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest
from starlette.concurrency import run_in_threadpool

from stemline.api import hub
from stemline.jobs.errors import StoreUnavailable, TooManyListeners
from stemline.jobs.event import Event
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.samples import job_spec


def event(number: int) -> Event:
    return Event(id=f"{number}-0", kind="job", subject=f"j{number}", state="Running")


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> hub._Channel:
    """A channel that keeps five events and begins after event 10."""
    monkeypatch.setattr(hub, "KEPT", 5)
    made = hub._Channel()
    made.begin("10-0")
    return made


def numbers(found: list[Event] | None) -> list[int] | None:
    return None if found is None else [int(each.subject[1:]) for each in found]


def test_a_listener_gets_each_event_after_its_last_one_once(channel: hub._Channel) -> None:
    """In order, whatever it knows already; events that come twice are there once."""
    channel.add([event(11), event(12)])
    channel.add([event(12), event(13)])
    assert numbers(channel.after("10-0")) == [11, 12, 13]
    assert numbers(channel.after("12-0")) == [13]
    assert numbers(channel.after("13-0")) == []


def test_what_is_not_in_memory_is_not_taken_for_nothing(channel: hub._Channel) -> None:
    """Who knows less than what is kept, or more than there is, must ask the store."""
    channel.add([event(number) for number in range(11, 21)])
    assert numbers(channel.after("15-0")) == [16, 17, 18, 19, 20]
    for unknown in ("9-0", "10-0", "14-0", "21-0"):
        assert channel.after(unknown) is None


def test_nothing_is_known_before_the_beginning() -> None:
    """Events that arrive before it is known where they begin are left to the store."""
    channel = hub._Channel()
    channel.add([event(1)])
    assert channel.after("0-0") is None
    assert channel.end is None


def test_whoever_waits_is_woken_by_events() -> None:
    """A listener that waits goes on when an event arrives, and waits again afterwards."""

    async def run() -> None:
        channel = hub._Channel()
        channel.begin("1-0")
        before = channel.changes
        with hub._Silence(3600) as silence:
            listener = asyncio.create_task(silence.wait(channel.waiting))
            await asyncio.sleep(0)
            channel.add([event(2)])
            assert await asyncio.wait_for(listener, 60) is True
            assert channel.changes == before + 1
            again = asyncio.create_task(silence.wait(channel.waiting))
            await asyncio.sleep(0)
            assert len(channel.waiting) == 1
            again.cancel()
            await asyncio.wait([again])
        assert not channel.waiting

    asyncio.run(run())


def test_silence_ends_a_wait_again_and_again() -> None:
    """Each wait without an event ends after the silence that the listener asked for."""

    async def run() -> list[bool]:
        channel = hub._Channel()
        with hub._Silence(0.01) as silence:
            return [await asyncio.wait_for(silence.wait(channel.waiting), 60) for _ in range(3)]

    assert asyncio.run(run()) == [False] * 3


@pytest.mark.parametrize(
    "error", [StoreUnavailable(), KeyError("kind"), ValueError("x"), RuntimeError("odd")]
)
def test_the_thread_survives_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """One broken entry, or a store that is away, ends the events of no listener."""
    monkeypatch.setattr(hub, "_RETRY_S", 0.01)
    store, tenant = InMemoryStore(), Tenant("media-1250000000", "ap-chongqing")
    wait, failures = store.events.wait, [error] * 3

    def fail_first(after: Mapping[Tenant, str], timeout_s: float) -> dict[Tenant, list[Event]]:
        if failures:
            raise failures.pop()
        return wait(after, timeout_s)

    monkeypatch.setattr(store.events, "wait", fail_first)
    events = hub.EventHub(store.events, limit=3, limit_per_credential=3)

    async def listen() -> list[Event]:
        begin, _ = store.events.begin(tenant)
        async for found in events.follow(tenant, begin, every_s=0.02):
            if found:
                return found
            if not failures:
                store.jobs.create([replace(job_spec(), tenant=tenant, queue_id="")])
        return []

    try:
        assert "job" == asyncio.run(asyncio.wait_for(listen(), 60))[0].kind
        assert not failures
    finally:
        events.close()


def test_listeners_that_fell_behind_take_turns_and_leave_threads_to_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many of one bucket read from the store, requests get threads and other buckets read too."""
    store = InMemoryStore()
    events = hub.EventHub(store.events, limit=3, limit_per_credential=3)
    many, one = Tenant("many-1250000000", "ap-chongqing"), Tenant("one-1250000000", "ap-chongqing")
    go_on, read = threading.Semaphore(0), []

    def slow_read(tenant: Tenant, after: str, limit: int = 0) -> list[Event]:
        go_on.acquire(timeout=60)
        read.append(tenant)
        return [event(1)]

    monkeypatch.setattr(store.events, "read", slow_read)

    async def listen(tenant: Tenant) -> None:
        async for _ in events.follow(tenant, "0-1", every_s=60):
            return

    async def run() -> None:
        crowd = [asyncio.create_task(listen(many)) for _ in range(200)]
        await asyncio.sleep(0.05)
        try:
            assert "answered" == await asyncio.wait_for(run_in_threadpool(lambda: "answered"), 60)
            alone = asyncio.create_task(listen(one))
            await asyncio.sleep(0)
            go_on.release(30)
            await asyncio.wait_for(alone, 60)
        finally:
            go_on.release(1000)
            await asyncio.wait(crowd)

    try:
        asyncio.run(run())
        assert read.index(one) < 20
    finally:
        events.close()


def test_a_listener_that_fell_behind_holds_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in memory and those of the store are given out in pages, in order and each once."""
    store, tenant = InMemoryStore(), Tenant("media-1250000000", "ap-chongqing")
    begin, _ = store.events.begin(tenant)
    store.jobs.create([replace(job_spec(), tenant=tenant, queue_id="")] * 150)
    last = (store.events.read(tenant, begin) or [])[-1].id
    events = hub.EventHub(store.events, limit=3, limit_per_credential=3)
    channel = hub._Channel()
    channel.begin("0-1")
    channel.add([event(number) for number in range(1, 151)])

    async def pages(after: str, end: str) -> list[list[str]]:
        found: list[list[str]] = []
        async for page in events.follow(tenant, after, every_s=60):
            found.append([each.id for each in page])
            if end in found[-1]:
                break
        return found

    try:
        of_store = asyncio.run(asyncio.wait_for(pages(begin, last), 60))
        monkeypatch.setitem(events._channels, tenant, channel)
        of_memory = asyncio.run(asyncio.wait_for(pages("0-1", "150-0"), 60))
    finally:
        events.close()
    for found in (of_store, of_memory):
        assert [hub.PAGE] * (150 // hub.PAGE) + [150 % hub.PAGE] == list(map(len, found))
        assert 150 == len({each for page in found for each in page})
    assert [f"{number}-0" for number in range(1, 151)] == [each for page in of_memory for each in page]


def test_listeners_are_counted_by_credential_and_in_all() -> None:
    """Each credential has a limit and all have one; a place that was left can be taken again."""
    events = hub.EventHub(InMemoryStore().events, limit=3, limit_per_credential=2)

    def is_admitted(credential: str) -> bool:
        try:
            with events.admit(credential, Tenant(credential, "region")):
                return True
        except TooManyListeners:
            return False

    with contextlib.ExitStack() as held:
        held.enter_context(events.admit("a", Tenant("a", "region")))
        held.enter_context(events.admit("a", Tenant("a", "region")))
        assert [False, True] == [is_admitted("a"), is_admitted("b")]
        with events.admit("b", Tenant("b", "region")):
            assert not is_admitted("c")
        assert is_admitted("c")
    assert is_admitted("a")


@pytest.mark.parametrize("by", ["tenant", "credential"])
def test_whoever_listens_much_leaves_room_to_others(by: str) -> None:
    """One bucket with many credentials, or one credential with many buckets, may have as much as is free."""
    events = hub.EventHub(InMemoryStore().events, limit=2000, limit_per_credential=1500)

    def taken(name: str) -> int:
        for number in range(2000):
            parts = (f"{name}{number}", name) if by == "tenant" else (name, f"{name}{number}")
            try:
                held.enter_context(events.admit(parts[0], Tenant(parts[1], "region")))
            except TooManyListeners:
                return number
        return 2000

    with contextlib.ExitStack() as held:
        assert [1000, 500, 250] == [taken(name) for name in "abc"]
    assert not events._counts
