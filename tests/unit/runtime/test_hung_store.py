"""What operators are answered while the store, or anything else that is asked, does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from starlette.routing import Route

from stemline.api import admin
from stemline.runtime.settings import Settings
from stemline.runtime.store_metrics import StoreCollector
from stemline.runtime.threads import in_thread
from stemline.testing.in_memory_store import InMemoryStore


class HungStatistics:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.reads = 0
        self.released = threading.Event()

    def read(self, max_queues: int):
        self.reads += 1
        assert self.released.wait(60)
        return InMemoryStore().statistics.read(max_queues)


@pytest.fixture
def hung() -> Iterator[HungStatistics]:
    statistics = HungStatistics()
    yield statistics
    statistics.released.set()


def up(collector: StoreCollector) -> float:
    (sample,) = (
        sample
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == "stemline_store_up"
    )
    return sample.value


def test_scrapes_do_not_wait_for_a_store_that_hangs(hung):
    """Each scrape says in time that the store is down, and only one read waits; then all numbers come."""
    brief = StoreCollector(hung, max_queues=1, timeout_s=0.01)
    assert [0, 0, 0] == [up(brief) for _ in range(3)]
    assert 1 == hung.reads
    hung.released.set()
    brief._timeout_s = 60
    assert 1 == up(brief)
    assert 1 == hung.reads


def test_readiness_does_not_wait_for_what_hangs(hung, monkeypatch):
    """Each part that does not answer in time is unreachable, and not waited for."""

    def hang(*_):
        assert hung.released.wait(60)
        return "ok"

    monkeypatch.setattr(admin, "probe", hang)
    monkeypatch.setattr(admin, "probe_durability", hang)
    monkeypatch.setattr(admin, "_connect", lambda *_: "ok")
    status, found = ready(0.01)
    assert 503 == status
    assert {"unreachable"} == {found[part] for part in ("store", "broker", "durability")}
    hung.released.set()
    assert (200, "ok") == (ready(60)[0], ready(60)[1]["durability"])


def ready(timeout_s: float) -> tuple[int, dict[str, str]]:
    app = admin.create_app(
        Settings(durability="disk"), lambda: None, public=("127.0.0.1", 1), ready_s=timeout_s
    )
    (readyz,) = (each for each in app.routes if isinstance(each, Route) and each.path == "/readyz")
    answer = readyz.endpoint(None)
    return answer.status_code, json.loads(answer.body)


def test_operators_are_answered_before_they_give_up():
    """Readiness is shorter than `stemline health` and Kubernetes wait, metrics than Prometheus does."""
    from stemline.cli.health import _TIMEOUT_S
    from stemline.runtime.store_metrics import TIMEOUT_S

    assert admin.READY_S < _TIMEOUT_S < 5
    assert TIMEOUT_S < 5


def test_an_error_of_the_call_is_raised_where_the_answer_is_asked_for():
    """A call in a thread of its own returns or raises what it would without one."""
    assert 3 == in_thread(lambda: 3, name="sum").result(60)
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 / 0, name="fault").result(60)
