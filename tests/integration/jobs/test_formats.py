"""Records that older releases wrote are read, worked on and ended by this one.

``formats/v1.json`` holds every key of a store as the first release left it: a waiting, a running, a paused, a
successful, a failed and a cancelled job, a template, callbacks delivered, pending and dead. It was made by
``python -m tests.integration.jobs.test_formats`` at that time and is never made anew: a release that changes
what it writes adds a file and raises the number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, QueueFilter, RedisStore, Store, TemplateFilter
from stemline.jobs.store.records import RECORD_VERSION
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options

FOLDER = Path(__file__).parent / "formats"
TENANT = Tenant("media-1250000000", "ap-chongqing")
NIGHT = Tenant("night-1250000000", "ap-chongqing")
START = 1_790_000_000_000_000
SECOND = 1_000_000
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {"Size": "1"}})
NAMES = ("success", "failed", "cancelled", "dead", "running", "waiting", "paused")


def spec(name: str, tenant: Tenant = TENANT) -> JobSpec:
    return JobSpec(
        tenant,
        f"in/{name}.mp3",
        VoiceSeparate(AudioMode.IS_AUDIO, AudioConfig(codec="wav", samplerate=44_100)),
        Output(region=tenant.region, bucket=tenant.bucket, au_object="out/${jobid}.${ext}"),
        level=1,
        user_data=name,
        callback=CallbackRequest(url=f"https://example.com/{name}"),
    )


def fill(client: redis.Redis) -> dict[str, str]:
    """One of everything; job ids by what became of them."""
    now = START
    store = RedisStore(client, store_options(Settings()), clock=lambda: now)
    ids: dict[str, str] = {}
    for name in NAMES:
        now += SECOND
        (job,) = store.jobs.create([spec(name, NIGHT if name == "paused" else TENANT)])
        ids[name] = job.id
        now += SECOND
        if name == "cancelled":
            store.jobs.cancel(TENANT, [job.id])
        if name in {"success", "failed", "dead", "running"}:
            held = store.attempts.claim("separate@host/1", [1])
            assert held is not None
            assert held.id == job.id
            now += SECOND
            if name == "running":
                store.attempts.heartbeat(held.id, held.token, 40, "cpu")
                store.attempts.register_uploads(held.id, held.token, [{"key": "out/x.wav", "upload_id": "u"}])
            elif name == "failed":
                store.attempts.fail(held, "AudioDamaged", "The source ends too early.")
            else:
                store.attempts.succeed(held, DONE)
    queue = store.queues.search(NIGHT, QueueFilter()).items[0]
    store.queues.update(NIGHT, queue.id, state=QueueState.PAUSED)
    store.templates.create(TENANT, "voice", spec("template").separate)
    for name, status in (("success", "delivered"), ("dead", "dead")):
        delivery = store.outbox.for_job(ids[name])
        assert delivery is not None
        taken = store.outbox.reserve(delivery.id, 30)
        assert taken is not None
        tried = DeliveryAttempt(
            at=now, status="200" if status == "delivered" else "500", duration_ms=12, answer="ok"
        )
        store.outbox.record(delivery.id, tried, next_due=None, status=status)
    return ids


def dump(client: redis.Redis) -> dict[str, dict[str, Any]]:
    """Every key with its type and content; streams, which only describe the past, are left out."""
    readers = {
        "hash": client.hgetall,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "set": lambda key: sorted(client.smembers(key)),
        "list": lambda key: client.lrange(key, 0, -1),
        "string": client.get,
    }
    kinds = {key: client.type(key) for key in sorted(client.scan_iter("*"))}
    return {key: {"type": t, "value": readers[t](key)} for key, t in kinds.items() if t in readers}


def restore(client: redis.Redis, keys: dict[str, dict[str, Any]]) -> None:
    """Write what :func:`dump` read."""
    for key, entry in keys.items():
        value = entry["value"]
        match entry["type"]:
            case "hash":
                client.hset(key, mapping=value)
            case "zset":
                client.zadd(key, dict(value))
            case "set":
                client.sadd(key, *value)
            case "list":
                client.rpush(key, *value)
            case _:
                client.set(key, value)


@pytest.fixture
def client(valkey, valkey_server) -> Iterator[redis.Redis]:
    found = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    yield found
    found.close()


@pytest.fixture(params=sorted(path.name for path in FOLDER.glob("v*.json")))
def old(request, client) -> tuple[Store, dict[str, str]]:
    """A store as an older release left it, a minute later, and the ids of its jobs."""
    recorded = json.loads((FOLDER / request.param).read_text())
    restore(client, recorded["keys"])
    return RedisStore(client, store_options(Settings()), clock=lambda: START + 60 * SECOND), recorded["jobs"]


def test_every_format_has_its_recording() -> None:
    """No release raises the format's number without leaving a store of its own to be read later."""
    assert {f"v{number}.json" for number in range(1, RECORD_VERSION + 1)} == {
        path.name for path in FOLDER.glob("*")
    }


def test_what_an_older_release_stored_is_read(old) -> None:
    """Jobs, queues, templates and callbacks are read as they were written."""
    store, ids = old
    states = {"success": State.SUCCESS, "dead": State.SUCCESS, "failed": State.FAILED, "paused": State.PAUSE}
    states |= {"cancelled": State.CANCEL, "running": State.RUNNING, "waiting": State.SUBMITTED}
    for name, state in states.items():
        job = store.jobs.find(ids[name])
        assert job is not None
        assert state == job.state
        assert (name, f"in/{name}.mp3", 1) == (job.spec.user_data, job.spec.input_object, job.spec.level)
        assert AudioConfig(codec="wav", samplerate=44_100) == job.spec.separate.audio_config
    done, failed, running = (store.jobs.find(ids[name]) for name in ("success", "failed", "running"))
    assert done.result == DONE
    assert ("AudioDamaged", "The source ends too early.") == (failed.code, failed.message)
    assert (40, "cpu", "separate@host/1") == (running.progress, running.device, running.worker)
    assert ({"key": "out/x.wav", "upload_id": "u"},) == running.uploads
    assert 6 == len(store.jobs.search(TENANT, JobFilter(size=100)).items)
    assert ["voice"] == [each.name for each in store.templates.search(TENANT, TemplateFilter()).items]
    assert "delivered" == store.outbox.for_job(ids["success"]).status
    assert "200" == store.outbox.for_job(ids["success"]).attempts[0].status
    assert 1 == store.outbox.replay([store.outbox.for_job(ids["dead"]).id])


def test_what_an_older_release_began_is_brought_to_its_end(old) -> None:
    """A waiting job is done, a running one rescued, a paused one resumed, and an old holder refused."""
    store, ids = old
    before = store.jobs.find(ids["running"])
    assert ids["running"] in store.attempts.expired()
    reclaimed = store.attempts.reclaim(ids["running"], "sweeper")
    with pytest.raises(LeaseLost):
        store.attempts.succeed(before, DONE)
    store.attempts.release(reclaimed, counts=True)
    queue = store.queues.search(NIGHT, QueueFilter()).items[0]
    store.queues.update(NIGHT, queue.id, state=QueueState.ACTIVE)
    finished = set()
    while job := store.attempts.claim("w", [2, 1, 0]):
        store.attempts.succeed(job, DONE)
        finished.add(job.id)
    assert {ids["waiting"], ids["running"], ids["paused"]} == finished
    assert all(store.outbox.for_job(each).status == "pending" for each in finished)


def main() -> None:
    """Record the store of this release."""
    import tempfile

    from stemline.deploy.local.servers import ValkeyServer

    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(Path(folder))
        server.start()
        client = redis.Redis.from_url(server.url, decode_responses=True)
        jobs = fill(client)
        text = json.dumps({"jobs": jobs, "keys": dump(client)}, indent=1, sort_keys=True)
        (FOLDER / f"v{RECORD_VERSION}.json").write_text(text + "\n")
        client.close()
        server.stop()


if __name__ == "__main__":
    main()
