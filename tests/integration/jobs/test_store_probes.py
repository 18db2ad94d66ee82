"""Contract of a job store: questions about sources are answered in turns, so none takes them all."""

from __future__ import annotations

import pytest
import redis

from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import RedisStore, Store, StoreOptions
from stemline.jobs.store.probes import CREDENTIAL_MS, TENANT_MS
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, TENANT, spec


def question(name: str, tenant: Tenant = TENANT, credential: str = "mine") -> Question:
    return Question(name, (spec(tenant=tenant),), 0, credential)


def take(store: Store, seconds: float = 1.0) -> str:
    """Take a question, and be busy with it."""
    found = store.probes.take(5)
    assert found is not None
    store.probes.spend(found, seconds)
    return found.id


def test_a_question_is_taken_once_and_answered(store: Store) -> None:
    """A question comes as it was asked, to one worker; its answer is found by its id."""
    asked = question("q")
    assert store.probes.ask(asked)
    assert asked == store.probes.take(5)
    assert store.probes.take(0.01) is None
    assert store.probes.answered("q") is None
    store.probes.answer("q", Probe(size=1))
    assert Probe(size=1) == store.probes.answered("q")


def test_tenants_take_turns(store: Store) -> None:
    """However many questions one tenant has, the first one of another tenant is next."""
    for number in range(5):
        assert store.probes.ask(question(f"many-{number}"))
    assert "many-0" == take(store)
    assert store.probes.ask(question("one", OTHER))
    assert store.probes.ask(question("two", OTHER, "other"))
    assert {"two"} == {take(store, 3.0)}
    assert "many-1" == take(store, 5.0)
    assert "one" == take(store)
    assert "many-2" == take(store)


def test_a_credential_of_many_tenants_has_one_turn(store: Store) -> None:
    """Questions of one credential about many buckets do not come before that of another credential."""
    for number in range(5):
        assert store.probes.ask(question(f"many-{number}", Tenant(f"b-{number}", "r")))
    first = take(store)
    assert store.probes.ask(question("one", OTHER, "other"))
    assert first.startswith("many-")
    assert "one" == take(store)
    assert take(store).startswith("many-")


def test_who_has_taken_too_much_time_asks_nothing(store: Store) -> None:
    """A tenant, and a credential, that kept workers busy for long is not asked for; others are."""
    assert store.probes.ask(question("slow"))
    assert "slow" == take(store, TENANT_MS / 1000)
    assert not store.probes.ask(question("again"))
    assert not store.probes.ask(question("other-credential", TENANT, "other"))
    assert store.probes.ask(question("other-tenant", OTHER))
    assert "other-tenant" == take(store, (CREDENTIAL_MS - TENANT_MS) / 1000)
    third = Tenant("third-1250000000", "r")
    assert not store.probes.ask(question("third-tenant", third))
    assert store.probes.ask(question("other", third, "other"))
    assert "other" == take(store)
    assert store.probes.take(0.01) is None


def test_a_source_that_takes_too_long_is_not_looked_at_again(store: Store) -> None:
    """After a look in vain nobody is asked for that source; others of its bucket are looked at."""
    slow = Question("slow", (spec("in/slow"),), 0, "mine")
    assert store.probes.ask(slow)
    assert slow == store.probes.take(5)
    store.probes.spend(slow, 2.5, in_vain=True)
    assert not store.probes.ask(slow)
    assert store.probes.ask(question("q"))
    assert store.probes.ask(Question("other", (spec("in/slow", tenant=OTHER),), 0, "mine"))


@pytest.mark.usefixtures("valkey")
def test_what_waits_is_bounded_and_forgotten(valkey_server) -> None:
    """An asker has ten questions at most, the latest, and everything that is stored for it expires."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store = RedisStore(client, StoreOptions())
    for number in range(30):
        store.probes.ask(question(str(number)))
    assert [str(number) for number in range(20, 29)] == [take(store, 0.01) for _ in range(9)]
    keys = list(client.scan_iter("stemline:probe*"))
    assert 4 == len(keys)
    assert all(client.pttl(key) > 0 for key in keys)
    for number in range(105):
        store.probes.ask(question("x", Tenant(f"b-{number}", "r"), f"c-{number}"))
    assert 100 == client.zcard("stemline:probe-turns")
    assert 100 == len(list(client.scan_iter("stemline:probe-questions*")))
    assert client.zscore("stemline:probe-turns", f"{TENANT}|mine") is None
    client.close()


@pytest.mark.parametrize("spent", [question("a", TENANT, "other"), question("a", OTHER, "mine")])
def test_a_millisecond_decides_whose_turn_it_is(store: Store, spent: Question) -> None:
    """Of two askers the one whose tenant or credential has taken less is next, whoever has waited longer."""
    fresh = question("fresh", Tenant("third-1250000000", "r"), "third")
    store.probes.spend(spent, 0.001)
    assert store.probes.ask(question("mine"))
    assert store.probes.ask(fresh)
    assert ["fresh", "mine"] == [take(store, 0.0) for _ in range(2)]


def test_of_equals_the_one_that_has_waited_longer_is_next(store: Store, clock: FixedClock) -> None:
    """Askers that have taken nothing come in the order in which they asked, and again after each question."""
    for number in (3, 1, 2):
        for part in "ab":
            assert store.probes.ask(question(f"{number}{part}", Tenant(f"b-{number}", "r"), f"c-{number}"))
            clock.advance(1)
    taken = []
    for _ in range(6):
        clock.advance(1)
        taken.append(take(store))
    assert ["3a", "1a", "2a", "3b", "1b", "2b"] == taken


def test_askers_that_wait_for_nothing_are_forgotten(client: redis.Redis, clock: FixedClock) -> None:
    """One whose questions were taken or have expired; of too many that have taken nothing, the last."""
    store = RedisStore(client, clock=clock)
    turns = "stemline:probe-turns"
    store.probes.ask(question("q"))
    assert 0 < client.pttl(turns) <= 10_000
    assert "q" == take(store)
    assert 0 == client.exists(turns)
    gone = question("gone", OTHER, "other")
    store.probes.ask(gone)
    client.delete(f"stemline:probe-questions:{gone.asker}")
    store.probes.ask(question("q"))
    assert "q" == take(store)
    assert 0 == client.exists(turns)
    askers = [question("x", Tenant(f"b-{number}", "r"), f"c-{number}") for number in range(102)]
    for each in askers:
        clock.advance(1)
        store.probes.ask(each)
    assert [each.asker for each in askers[:100]] == client.zrange(turns, 0, -1)
