"""Contract of a job store: submissions that share a round trip are accepted or refused one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.errors import BudgetSpent, IdempotencyConflict, QueueFull, StoreUnavailable
from stemline.jobs.job import Job
from stemline.jobs.store import Idempotency, JobFilter, RedisStore, Store, Submission
from stemline.jobs.usage import Budget
from stemline.testing.resp_proxy import ABORT, RespProxy
from tests.integration.jobs.contract import OTHER, TENANT, Make, spec

ONCE = Idempotency("once", "a" * 64)
OTHERWISE = Idempotency("once", "b" * 64)


def names(found: Sequence[list[Job] | Exception]) -> list[list[str] | str]:
    """Return the names of the stored jobs' sources, or of the errors."""
    return [
        type(each).__name__ if isinstance(each, Exception) else [job.spec.input_object for job in each]
        for each in found
    ]


def stored(store: Store) -> list[str]:
    found = store.jobs.search(TENANT, JobFilter(size=1000, order="Asc"))
    return [job.spec.input_object for job in found.items]


def one(name: str, **changes: Any) -> Submission:
    return Submission([spec(name)], **changes)


def test_a_key_counts_once_within_a_round_trip(store: Store) -> None:
    """Two equal keys are one submission, or a conflict with another body; other buckets have other keys."""
    elsewhere = Submission([spec("d", tenant=OTHER)], ONCE)
    found = store.jobs.create_each(
        [one("a", idempotency=ONCE), one("a", idempotency=ONCE), one("c", idempotency=OTHERWISE), elsewhere]
    )
    assert [["a"], ["a"], IdempotencyConflict.__name__, ["d"]] == names(found)
    assert found[0] == found[1]
    assert ["a"] == stored(store)


def test_limits_are_exact_within_a_round_trip(make: Make) -> None:
    """As many are accepted as there is room for, each wholly or not at all, whoever else is refused."""
    store = make(queue_max_size=5)
    budget = Budget(jobs=2)

    def of(credential: str, name: str, jobs: int = 1) -> Submission:
        return Submission([spec(name, credential=credential)] * jobs, budget=budget)

    found = store.jobs.create_each(
        [
            of("x", "a"),
            of("x", "b", 2),
            of("x", "c"),
            of("x", "d"),
            of("y", "e", 2),
            of("z", "f", 2),
            of("z", "g"),
        ]
    )
    spent, full = BudgetSpent.__name__, QueueFull.__name__
    assert [["a"], spent, ["c"], spent, ["e", "e"], full, ["g"]] == names(found)
    assert ["a", "c", "e", "e", "g"] == stored(store)


def test_a_submission_that_cannot_be_written_is_refused_alone(store: Store) -> None:
    """Half of a pair of characters is no text: its neighbours are stored all the same."""
    found = store.jobs.create_each([one("a"), Submission([spec("b", user_data="\ud800")]), one("c")])
    first, broken, last = found
    assert (["a"], ["c"]) == (names([first])[0], names([last])[0])
    assert isinstance(broken, Exception)
    assert ["a", "c"] == stored(store)


@pytest.fixture
def proxy(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[RespProxy]:
    with RespProxy(valkey_server.port) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: RespProxy) -> Iterator[RedisStore]:
    """A store behind the proxy."""
    store = RedisStore.open(proxy.url)
    store.jobs.create([spec("0")])
    yield store
    store.close()


def five() -> list[Submission]:
    return [one(name, idempotency=Idempotency(name, name * 64)) for name in "12345"]


@pytest.mark.parametrize("after", range(1, 5))
@pytest.mark.parametrize("word", ["OOM", "READONLY", "MISCONF", "ERR"])
def test_a_word_is_the_answer_to_those_that_got_it(
    proxy: RespProxy, behind: RedisStore, after: int, word: str
) -> None:
    """A server that begins to refuse amid a round trip: what came before is stored and answered so."""
    with proxy.refuse(f"{word} an injected error", after=after):
        found = behind.jobs.create_each(five())
    accepted: list[Any] = [[name] for name in "12345"[:after]]
    assert accepted + [StoreUnavailable.__name__] * (5 - after) == names(found)
    assert list("012345")[: 1 + after] == stored(behind)


@pytest.mark.parametrize("after", range(6))
def test_a_round_trip_that_breaks_off_is_made_again(
    proxy: RespProxy, behind: RedisStore, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it broke off, each is stored once, and answered."""
    monkeypatch.setattr("redis.retry.sleep", lambda seconds: setattr(proxy, "reply", ""))
    with proxy.refuse(ABORT, after=after):
        found = behind.jobs.create_each(five())
    assert [[name] for name in "12345"] == names(found)
    assert list("012345") == stored(behind)
    assert found == behind.jobs.create_each(five())


def test_a_server_that_has_forgotten_the_script_is_given_it_again(behind: RedisStore) -> None:
    """Each is stored once."""
    behind.client.script_flush()
    assert [[name] for name in "12345"] == names(behind.jobs.create_each(five()))
    assert list("012345") == stored(behind)
