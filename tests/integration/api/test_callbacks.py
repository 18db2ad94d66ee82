"""Dead letters over HTTP, on a real store."""

from __future__ import annotations

import asyncio
import re
import time

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from stemline.jobs.callback import CallbackRequest, MqConfig
from stemline.runtime import bootstrap
from stemline.testing.receiver import answer, receiving
from stemline.wire.schema import schemas
from tests.integration.callbacks.conftest import bench

__all__ = ["bench"]

HOST = "media-1250000000.ci.ap-chongqing.myqcloud.com"


@pytest.fixture
def letters(bench):
    """A bench whose bucket has two dead letters to a URL and one to a queue."""
    bench = bench(callback_schedule_s=(0,), anonymous_access=True)
    with receiving(answer(500, b"<broken>")) as receiver:
        url = receiver.url.replace("127", "user:hush@127")
        dead = [bench.post_to(url), bench.post_to(url)]
        dead.append(bench.end_job(CallbackRequest(type="TDMQ", mq=MqConfig("gz", "Queue", "voice-done"))))
        for delivery in dead:
            bench.try_(delivery)
            bench.clock.advance(10)
    return bench, dead


@pytest.fixture
def ask(letters):
    """Ask the API about the bucket of the letters, or another one."""
    bench, _ = letters
    app = bootstrap.api(bench.settings, bench.store)

    async def request(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, path, headers=headers)

    def ask(method: str, path: str, *, host: str = HOST, form: str = "json", code: int = 200):
        response = asyncio.run(request(method, path, {"Host": host, "Accept": f"application/{form}"}))
        assert code == response.status_code, response.text
        return response.json() if form == "json" else response.text

    return ask


@pytest.mark.shows("GET /callbacks: host, startTime, CallbackList")
def test_the_list_narrows_by_host_and_time(letters, ask):
    """Dead letters of the bucket come latest first, paged, and filtered by host and time."""
    _, dead = letters

    def ids(query: str = "") -> list[str]:
        return [entry["CallbackId"] for entry in ask("GET", f"/callbacks?{query}")["CallbackList"]]

    assert [d.id for d in reversed(dead)] == ids()
    assert [dead[1].id] == ids("pageSize=1&pageNumber=2")
    assert [dead[1].id, dead[0].id] == ids("host=127.0.0.1")
    assert [dead[2].id] == ids("host=gz/voice-done")
    assert [dead[2].id] == ids("startTime=2026-09-21T22:13:40%2B0800")
    assert "3" == ask("GET", "/callbacks")["TotalCount"]
    assert "InvalidArgument" in str(ask("GET", "/callbacks?startTime=yesterday", code=400))


def test_another_bucket_sees_and_replays_nothing(letters, ask):
    """Callbacks belong to the bucket of their job; to others they do not exist."""
    bench, dead = letters
    other = HOST.replace("media", "other")
    assert [] == ask("GET", "/callbacks", host=other)["CallbackList"]
    assert [dead[0].id] == ask("GET", f"/callbacks/{dead[0].id}", host=other)["NonExistCallbackIds"]
    ask("PUT", f"/callbacks/{dead[0].id}?replay", host=other, code=400)
    assert "0" == ask("PUT", "/callbacks?replay", host=other)["ReplayedCount"]
    assert 3 == bench.store.outbox.dead().total


@pytest.mark.shows(
    "GET /callbacks/{ids}: Callback, NonExistCallbackIds",
    "CallbackId, NextTime, Attempt, Time, Status, DurationMs, Answer, MqConfig",
)
def test_one_is_shown_with_all_its_tries(letters, ask):
    """A callback is shown by its id or its job's: where it goes, without password, and how each try went."""
    _, dead = letters
    answer = ask("GET", f"/callbacks/{dead[0].id},{dead[2].job_id},d0")
    url, queue = answer["Callback"]
    assert ["d0"] == answer["NonExistCallbackIds"]
    assert ("Dead", "Url", dead[0].job_id, "-") == (url["State"], url["Type"], url["JobId"], url["NextTime"])
    assert "hush" not in str(answer)
    assert [("500", "<broken>")] == [(a["Status"], a["Answer"]) for a in url["Attempt"]]
    assert {"MqRegion": "gz", "MqMode": "Queue", "MqName": "voice-done"} == queue["MqConfig"]
    described = {"$ref": "#/components/schemas/Callback", "components": {"schemas": schemas()}}
    for entry in (url, queue):
        Draft202012Validator(described).validate(entry)
    xml = ask("GET", f"/callbacks/{dead[0].id}", form="xml")
    assert "<Status>500</Status>" in xml
    assert re.search("<Answer>&lt;broken&gt;</Answer></Attempt></Callback></Response>$", xml)


@pytest.mark.shows("PUT /callbacks/{ids}, PUT /callbacks: ReplayedCount")
def test_replays(letters, ask):
    """Dead letters are replayed by id, all or none, or by filter; then they are due at once."""
    bench, dead = letters
    assert "1" == ask("PUT", f"/callbacks/{dead[0].id}?replay")["ReplayedCount"]
    assert "is pending, not dead" in str(ask("PUT", f"/callbacks/{dead[0].id},{dead[1].id}?replay", code=400))
    assert "pending" == bench.store.outbox.get(dead[0].id).status
    assert "dead" == bench.store.outbox.get(dead[1].id).status
    assert "1" == ask("PUT", "/callbacks?replay&host=127.0.0.1")["ReplayedCount"]
    assert "1" == ask("PUT", "/callbacks?replay")["ReplayedCount"]
    bench.clock.now = time.time_ns() // 1000
    assert {d.id for d in dead} == set(bench.store.outbox.due())
