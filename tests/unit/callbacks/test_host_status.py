"""Responding hosts always find a thread."""

from __future__ import annotations

from contextlib import ExitStack

from stemline.callbacks.host_status import MAX_HOSTS, HostHealth, HostStatus
from stemline.callbacks.outcome import Outcome, failed

DELIVERED = Outcome(delivered=True, status="200")


def granted(health: HostHealth, hosts: list[str]) -> int:
    """Return how many of the hosts get a thread at the same time."""
    with ExitStack() as stack:
        return sum(stack.enter_context(health.thread_for(host)) for host in hosts)


def test_the_status_follows_the_last_attempt():
    """A slow failure makes a host hanging; a success or a fast failure makes it responding."""
    health = HostHealth(8)
    assert HostStatus.UNKNOWN == health.status("a")
    health.record("a", failed("timeout", ""), 10.0)
    assert HostStatus.HANGING == health.status("a")
    health.record("a", failed("500", ""), 0.1)
    assert HostStatus.RESPONDING == health.status("a")
    health.record("a", DELIVERED, 9.0)
    assert HostStatus.RESPONDING == health.status("a")


def test_responding_hosts_always_find_a_thread():
    """Of eight threads, hanging hosts occupy at most four, and together with unknown ones six."""
    health = HostHealth(8)
    hanging, new = [f"hangs-{n}" for n in range(10)], [f"new-{n}" for n in range(10)]
    for host in hanging:
        health.record(host, failed("timeout", ""), 10.0)
    health.record("good", DELIVERED, 0.1)
    assert 4 == granted(health, hanging)
    assert 6 == granted(health, new)
    assert 6 == granted(health, hanging + new)
    assert 26 == granted(health, hanging + new + ["good"] * 20)
    assert 6 == granted(health, new), "the threads are free again"


def test_memory_is_bounded():
    """With too many hosts, the one attempted longest ago is forgotten."""
    health = HostHealth(8)
    for number in range(MAX_HOSTS + 1):
        health.record(f"h{number}", DELIVERED, 0.1)
    assert [HostStatus.UNKNOWN, HostStatus.RESPONDING] == [health.status("h0"), health.status("h1")]


def test_one_thread_is_enough_to_deliver():
    """A worker with a single thread still delivers to unknown and hanging hosts."""
    health = HostHealth(1)
    health.record("hangs", failed("timeout", ""), 10.0)
    assert 1 == granted(health, ["hangs"])
    assert 1 == granted(health, ["new"])
