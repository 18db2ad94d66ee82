"""The Python client against a real API server; jobs are in the memory of the test."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from contextlib import aclosing
from datetime import date

import pytest

from stemline.client import (
    AccessDenied,
    ApiError,
    AsyncClient,
    Batch,
    Client,
    ConnectionFailed,
    JobEnded,
    NotFound,
    Retry,
    Row,
    SlowDown,
    Target,
    TransferFailed,
    WaitTimedOut,
)
from stemline.deploy.local.ports import free_port
from stemline.testing.api_server import TENANT, ApiServer, api_settings, finish
from stemline.testing.client import SECRET_ID
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.receiver import answer, close_early, receiving
from tests.support.client import target

NOT_FOUND = ("ResourceNotFound", "The input object does not exist.")
QUICK = Retry(budget_s=180, first_s=0.01)


@pytest.fixture(scope="module")
def server():
    """An API server."""
    with ApiServer(api_settings(), InMemoryStore()) as started:
        yield started


@pytest.fixture
def client(server):
    """A client of it."""
    with Client(target(server.port), retry=QUICK) as opened:
        yield opened


def test_the_life_of_a_job(client, server):
    """A job is submitted, found, waited for and shown with its stems and the parameters it was given."""
    job = client.submit("in/a.mp3", stems=4, codec="mp3", user_data="mine", level=1)
    assert ("Submitted", "in/a.mp3", "mine", 1) == (job.state, job.source, job.user_data, job.level)
    threading.Timer(0.3, finish, (server.store, job.id)).start()
    ended = client.wait(job.id, timeout_s=180)
    assert {"voice", "background", "bass", "drums"} == {stem.name for stem in ended.stems}
    assert ended == client.get(job.id)


def test_a_job_that_fails_is_an_exception_with_its_reason(client, server):
    """Waiting for a job that fails raises an error with the code and the message of the job."""
    job = client.submit("in/none.mp3")
    server.store.attempts.fail(server.store.attempts.claim("test", (0, 1, 2)), *NOT_FOUND)
    with pytest.raises(JobEnded, match="ResourceNotFound: The input object") as caught:
        client.wait(job.id)
    assert job.id == caught.value.job.id
    assert "Failed" == client.wait(job.id, check=False).state


def test_a_wait_has_an_end(client):
    """A job that does not end in time is an error that shows it as it is; it can be cancelled then."""
    job = client.submit("in/slow.mp3")
    with pytest.raises(WaitTimedOut, match="Submitted"):
        client.wait(job.id, timeout_s=0.3)
    client.cancel(job.id)
    with pytest.raises(JobEnded, match="Cancel"):
        client.wait(job.id)


def test_lists_go_over_all_pages(client):
    """The iterator yields every job once, whatever the size of a page; filters narrow it."""
    ids = [client.submit(f"list/{number}.mp3").id for number in range(7)]
    assert ids[::-1] == [job.id for job in client.list(size=3, states=["Submitted"])]
    assert [ids[4]] == [job.id for job in client.list(source="list/4.mp3")]
    assert set(ids) == set(client.get_many([*ids, "j" + "0" * 32]))
    client.cancel(*ids)
    assert [] == list(client.list(states=["Submitted"]))


def test_queues_are_paused_resumed_and_changed(client):
    """A queue is found without its id, and what is not named stays as it is."""
    before = client.queue()
    assert "Paused" == client.pause().state
    assert ("Active", before.max_size) == (client.resume(before.name).state, client.queue().max_size)
    assert 77 == client.update_queue(MaxConcurrent="77").max_concurrent
    with pytest.raises(NotFound, match="no queue other"):
        client.pause("other")


def test_templates_are_created_used_and_deleted(client):
    """A template made by the client gives a job its parameters."""
    template = client.create_template("music", stems=4, codec="wav")
    assert ("MusicMode", "wav") == (template.mode, template.audio["Codec"])
    assert [template.id] == [each.id for each in client.templates(prefix="mus")]
    job = client.submit("in/a.mp3", template=template.id)
    assert (template.id, 4) == (job.template_id, len(job.outputs))
    client.cancel(job.id)
    client.delete_template(template.id)
    with pytest.raises(NotFound):
        client.delete_template(template.id)


def test_the_same_key_is_the_same_job(client):
    """An Idempotency-Key that is used again gives the first job; another request with it is an error."""
    first = client.submit("in/a.mp3", idempotency_key="k1")
    assert first.id == client.submit("in/a.mp3", idempotency_key="k1").id
    with pytest.raises(ApiError) as caught:
        client.submit("in/b.mp3", idempotency_key="k1")
    assert (409, True) == (caught.value.status, bool(caught.value.request_id))
    client.cancel(first.id)


def test_errors_have_a_code_and_a_request_id(server, client):
    """A refusal names the code and the request, by which the operator finds it; nothing is tried again."""
    with pytest.raises(ApiError, match="InvalidArgument") as caught:
        client.submit("in/a.mp3", codec="ogg")
    assert caught.value.request_id in str(caught.value)
    with pytest.raises(NotFound, match="no job"):
        client.get("j" + "0" * 32)
    stranger = Target(f"http://127.0.0.1:{server.port}", "nobody", "x", "media-1250000000", "ap-chongqing")
    with Client(stranger) as other, pytest.raises(AccessDenied) as refused:
        other.queues()
    assert 403 == refused.value.status


def test_a_client_over_its_rate_waits_and_goes_on():
    """With a limit of requests every call succeeds, only later; without retries it is an error."""
    settings = api_settings(rate_limit_per_s=0.5, rate_limit_burst=1)
    with ApiServer(settings, InMemoryStore()) as server:
        with Client(target(server.port)) as client:
            began = time.monotonic()
            assert 2 == len({client.submit(f"{number}.mp3").id for number in range(2)})
            assert time.monotonic() - began >= 1  # the second one passes after 2 s
        with Client(target(server.port), retry=Retry(budget_s=0)) as hasty, pytest.raises(SlowDown):
            [hasty.queues() for _ in range(20)]


ENUMERATED = [(1, b"Running"), (2, b"Success")]
BODY = json.dumps({"JobsDetail": [{"JobId": "j1", "State": "Submitted"}]}).encode()
CLOSE = {"Connection": "close"}
SLOW = answer(503, b'{"Code":"SlowDown","Message":"m","RequestId":"r"}', {**CLOSE, "Retry-After": "0"})


@pytest.mark.parametrize(
    "fault",
    [close_early, SLOW, answer(502, b"<html>", CLOSE), answer(500, b'{"Code":"InternalError"}', CLOSE)],
)
def test_a_submit_is_repeated_with_the_same_key(fault):
    """After a lost connection, SlowDown, a proxy's error or a server error the same request is sent again."""
    with receiving(fault, fault, answer(200, BODY, CLOSE)) as server:
        with Client(
            Target(f"http://127.0.0.1:{server.port}", "id", "key", "b-1", "r"), retry=QUICK
        ) as client:
            assert "j1" == client.submit("a.mp3").id
        keys = {each.headers["idempotency-key"] for each in server.received}
        assert (3, 1) == (len(server.received), len(keys))
        assert 1 == len({each.body for each in server.received})
        assert 3 == len({each.headers["authorization"] for each in server.received})


def test_what_cannot_be_repeated_is_sent_once():
    """A template whose creation got no answer is not created again: it may be there."""
    with receiving(close_early) as server:
        client = Client(Target(f"http://127.0.0.1:{server.port}"), retry=QUICK)
        with client, pytest.raises(ConnectionFailed):
            client.create_template("x")
        assert 1 == len(server.received)


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"[1]", b'"text"', b"\xff"])
def test_another_server_is_not_taken_for_the_service(body):
    """An answer that is not one of this service is an error that says so."""
    with receiving(answer(200, body, CLOSE)) as server:
        client = Client(Target(f"http://127.0.0.1:{server.port}"))
        with client, pytest.raises(ConnectionFailed, match="not a Stemline API"):
            client.submit("a.mp3")


def test_no_server_at_all():
    """Where nothing listens the error names the address."""
    port = free_port()
    client = Client(Target(f"http://127.0.0.1:{port}"), retry=Retry(budget_s=0))
    with client, pytest.raises(ConnectionFailed, match=str(port)):
        client.queues()


def test_files_go_to_the_bucket_and_stems_come_back(server, s3, tmp_path):
    """A file is sent, its stems are fetched under their names; one that was changed on the way is refused."""
    (tmp_path / "song.mp3").write_bytes(b"music" * 1000)
    sent: list[int] = []
    with Client(target(server.port, s3=s3)) as client:
        key = client.upload(tmp_path / "song.mp3", progress=sent.append)
        assert key != client.upload(tmp_path / "song.mp3", "in/song.mp3")
        job = client.submit(key)
        assert 5000 == sum(sent)
        finish(server.store, job.id)
        ended = client.get(job.id)
        for stem in ended.stems:
            s3.client.put_object(Bucket=s3.bucket, Key=stem.key, Body=b"sound")
        with pytest.raises(TransferFailed, match="MD5"):
            client.download(ended, tmp_path / "out")
        assert [] == list((tmp_path / "out").iterdir())
        assert re.fullmatch(r"uploads/\d{8}T\d{6}-[0-9a-f]{8}/song\.mp3", key)
        assert {key, "in/song.mp3", *(stem.key for stem in ended.stems)} == {
            each.key for each in client.bucket.list("")
        }
        with pytest.raises(TransferFailed, match="could not be sent"):
            client.upload(tmp_path / "none.mp3")


def test_a_batch_is_submitted_watched_and_changed(client, server):
    """Rows become the jobs of a batch, which is shown, listed, paused, resumed, cancelled and waited for."""
    batch = client.create_batch(["in/1.mp3", Row("in/2.mp3", user_data="2")], name="night", level=2)
    assert ("night", 2, "Active", False) == (batch.name, batch.rows, batch.state, batch.has_ended)
    again = client.create_batch(["in/1.mp3"], idempotency_key="once")
    assert again.id == client.create_batch(["in/1.mp3"], idempotency_key="once").id
    assert [again.id, batch.id] == [each.id for each in client.batches()]
    assert "Paused" == client.pause_batch(batch.id).state
    assert "Active" == client.resume_batch(batch.id).state
    with pytest.raises(WaitTimedOut, match=f"batch {batch.id} has not ended"):
        client.wait_batch(batch.id, timeout_s=0.2)
    assert 0 == client.retry_batch(batch.id)
    assert [] == list(client.list(batch=batch.id, states=["Running"]))
    assert 0 == client.cancel_where(batch="b" + "0" * 32, dry_run=True)
    seen: list[Batch] = []
    client.cancel_batch(batch.id)
    assert ("Cancel", 2) == (
        client.wait_batch(batch.id, timeout_s=60, on_change=seen.append).state,
        seen[-1].cancelled,
    )
    client.cancel_batch(again.id)
    with pytest.raises(NotFound):
        client.batch("b" + "0" * 32)


def test_events_are_followed_to_the_end_of_a_job(client, server):
    """Each change of a job is yielded until its end; a stream that begins later reports what was missed."""
    job = client.submit("in/a.mp3")
    events = client.events(job.id)
    first = next(events)
    assert ("job", job.id, "Submitted") == (first.kind, first.subject, first.state)
    finish(server.store, job.id)
    rest = [event for event in events if event.kind == "job"]
    assert ["Running", "Success"] == [event.state for event in rest]
    assert ["Success"] == [event.state for event in client.events(job.id, last=rest[-2].id)]
    assert [] == list(client.events(job.id, last=rest[-1].id))
    bucket = client.events(last=first.id)
    assert "Running" == next(bucket).state
    bucket.close()
    with pytest.raises(NotFound):
        next(client.events("j" + "0" * 32))


def test_a_stream_of_events_is_taken_up_where_it_broke():
    """After a stream that ends or breaks, the next request names the last event; each event comes once."""
    stream = {"Content-Type": "text/event-stream", **CLOSE}
    parts = [b'id: 1-%d\nevent: job\ndata: {"JobId":"j1","State":"%s"}\n\n' % each for each in ENUMERATED]
    script = [answer(200, parts[0] + parts[1][:20], stream), close_early, SLOW, answer(200, parts[1], stream)]
    with receiving(*script) as server:
        client = Client(Target(f"http://127.0.0.1:{server.port}"), retry=QUICK)
        with client:
            assert ["Running", "Success"] == [event.state for event in client.events("j1")]
        lasts = [each.headers.get("last-event-id") for each in server.received]
        assert [None, "1-1", "1-1", "1-1"] == lasts
    with receiving(answer(200, b"<html>", CLOSE)) as server:
        client = Client(Target(f"http://127.0.0.1:{server.port}"), retry=QUICK)
        with client, pytest.raises(ConnectionFailed, match="sends no events"):
            next(client.events())


def test_usage_is_shown_by_day_and_credential(client, server):
    """A job that succeeded counts for who submitted it, on this day alone."""
    finish(server.store, client.submit("in/w.mp3").id)
    rows = client.usage()
    assert sum(row.succeeded for row in rows) >= 1
    assert {SECRET_ID} == {row.credential for row in rows}
    assert [] == client.usage(first=date(2020, 1, 1), last=date(2020, 1, 2))


def test_a_submission_asks_the_service_to_wait():
    """With wait_s the answer is asked to be held, for no longer than a connection may be silent."""
    with receiving(*[answer(200, BODY, CLOSE)] * 3) as server:
        with Client(Target(f"http://127.0.0.1:{server.port}"), retry=QUICK) as client:
            for wait_s in (0, 20, 99):
                client.submit("a.mp3", wait_s=wait_s)
        assert [None, "wait=20", "wait=25"] == [each.headers.get("prefer") for each in server.received]


def test_the_client_with_asyncio(server):
    """The asynchronous client does the same: many jobs at once, each waited for."""

    async def run() -> list[str]:
        async with AsyncClient(target(server.port), retry=QUICK) as client:
            jobs = await asyncio.gather(*(client.submit(f"aio/{number}.mp3") for number in range(5)))
            for job in sorted(jobs, key=lambda each: each.created or 0):
                waiting = server.store.attempts.claim("test", (0, 1, 2))
                assert waiting is not None, job
                server.store.attempts.fail(waiting, *NOT_FOUND)
            ended = await asyncio.gather(*(client.wait(job.id, check=False) for job in jobs))
            listed = [job.id async for job in client.list(size=2, source="aio/3.mp3")]
            assert {jobs[3].id} == set(listed)
            assert "Active" == (await client.resume()).state
            with pytest.raises(NotFound):
                await client.get("j" + "0" * 32)
            return [job.state for job in ended]

    assert ["Failed"] * 5 == asyncio.run(run())
    assert server.store.attempts.claim("test", (0, 1, 2)) is None, TENANT


def test_the_rest_of_the_client_with_asyncio(server, s3, tmp_path):
    """Files, templates, queues, filters and callbacks do the same as with the other client."""

    async def run() -> None:
        async with AsyncClient(target(server.port, s3=s3), retry=QUICK) as client:
            (tmp_path / "song.mp3").write_bytes(b"music")
            job = await client.submit(
                await client.upload(tmp_path / "song.mp3"), callback="http://127.0.0.1:9/"
            )
            assert 1 == await client.cancel_where(dry_run=True)
            finish(server.store, job.id)
            ended = await client.get(job.id, wait_s=1)
            with pytest.raises(TransferFailed):
                await client.download(ended, tmp_path / "out")
            assert [job.id] == [each.job_id async for each in client.callbacks()]
            assert [job.id] == [each.job_id for each in await client.get_callbacks(job.id)]
            assert 1 == await client.send_callbacks(job.id)
            assert 0 == await client.send_callbacks_where(dry_run=True)
            assert "test" == (await client.execution(job.id)).worker
            assert {job.id} == set(await client.get_many([job.id]))
            template = await client.create_template("aio", mode="IsAudio")
            assert [template.id] == [each.id async for each in client.templates()]
            await client.delete_template(template.id)
            assert "Paused" == (await client.pause()).state
            second = await client.submit("in/b.mp3")
            await client.cancel(second.id)
            assert 1 == await client.retry_where()
            assert 1 == await client.cancel_where()
            third = (await client.retry(second.id))[0]
            assert second.id == third.origin
            await client.cancel(third.id)
            with pytest.raises(WaitTimedOut):
                await client.wait((await client.submit("in/c.mp3")).id, timeout_s=0.2)
            assert 1 == await client.cancel_where()
            batch = await client.create_batch(["in/1.mp3"], name="aio")
            assert batch.id in [each.id async for each in client.batches()]
            assert "Paused" == (await client.pause_batch(batch.id)).state
            assert "Active" == (await client.resume_batch(batch.id)).state
            assert "Cancel" == (await client.cancel_batch(batch.id)).state
            assert "Cancel" == (await client.wait_batch(batch.id, timeout_s=60)).state
            assert (0, 1) == (await client.retry_batch(batch.id), (await client.batch(batch.id)).rows)
            assert (await client.usage())[0].jobs >= 1
            states = [event.state async for event in client.events(ended.id) if event.kind == "job"]
            assert ["Success"] == states
            async with aclosing(client.events()) as events:
                assert "open" == (await anext(events)).kind

    asyncio.run(run())
