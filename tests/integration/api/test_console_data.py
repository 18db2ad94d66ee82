"""What the console shows beyond the wire, and the header with which it chooses a bucket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stemline.api.console.data import name_of_stem
from stemline.jobs.policy import Operation
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import ALIVE_S, Worker, claimant
from stemline.runtime.settings import BucketAccess, Credential
from stemline.testing import FixedClock, InMemoryStore
from stemline.testing.api_server import CREDENTIAL, ApiServer, api_settings, finish
from stemline.testing.client import BUCKET, REGION, SECRET_ID, Client, submission

OTHER = "other-1250000000"


def get(client: Client, target: str, **headers: str) -> dict[str, Any]:
    answer = client.request("GET", target, headers={"Accept": "application/json", **headers})
    assert 200 == answer.status, answer.body
    return json.loads(answer.body)


def submit(client: Client, key: str = "in/a.mp3", data: str = "") -> str:
    operation = f"<UserData>{data}</UserData>" if data else ""
    return client.post("/jobs", submission(source=key, operation=operation)).text("JobsDetail/JobId") or ""


def test_session(serve) -> None:
    """A session names bucket and region and all that the credential may do."""
    reader = Credential(secret_id="reader", secret_key="k", read_only=True)
    server = serve(credentials=(reader,), flower_url="http://flower.example")
    session = get(Client(server.port, secret_id="reader", secret_key="k"), "/console/session")
    assert (BUCKET, REGION, ["read"]) == (session["Bucket"], session["Region"], session["Operation"])
    assert "http://flower.example" == session["FlowerUrl"]


def test_overview(server: ApiServer) -> None:
    """Jobs are counted by state and by queue."""
    client = server.client
    submit(client)
    submit(client)
    overview = get(client, "/console/overview")
    assert {"Name": "Submitted", "Jobs": "2"} in overview["State"]
    (queue,) = overview["Queue"]
    assert (["2", "0", "0"], "0") == (queue["Waiting"], queue["Running"])
    assert 0 < int(overview["Now"]) - int(queue["Oldest"]) < 60_000_000


def test_jobs_by_place_and_by_text(server: ApiServer) -> None:
    """Jobs are given by their place with a total, or searched in key, user data and id."""
    client = server.client
    ids = [submit(client, f"in/{name}.mp3", name.upper()) for name in ("one", "two", "three")]
    page = get(client, "/console/jobs?offset=1&size=1")
    assert ("3", [ids[1]]) == (page["Total"], [job["JobId"] for job in page["Job"]])
    found = get(client, "/console/jobs?text=TWO")
    assert [ids[1]] == [job["JobId"] for job in found["Job"]]
    assert [ids[0]] == [
        job["JobId"] for job in get(client, f"/console/jobs?text={ids[0][:20]}{ids[0][20:]}")["Job"]
    ]
    first = get(client, "/console/jobs?text=in/&size=2")
    rest = get(client, f"/console/jobs?text=in/&size=2&cursor={first['Cursor']}")
    assert ids[::-1] == [job["JobId"] for job in first["Job"] + rest["Job"]]
    assert "Cursor" not in rest
    assert [] == get(client, "/console/jobs?to=1")["Job"]


def test_jobs_by_their_ids(server: ApiServer) -> None:
    """Jobs of up to 100 ids are given as they are now, as far as the bucket has them."""
    client = server.client
    first, second = submit(client), submit(client)
    gone = "j" + "0" * 32
    found = get(client, f"/console/jobs?ids={second},{gone},{first}")
    assert [(second, "Submitted"), (first, "Submitted")] == [
        (job["JobId"], job["State"]) for job in found["Job"]
    ]
    assert [] == get(client, f"/console/jobs?ids={gone}")["Job"]
    for refused in ("x", ",".join([first] * 101)):
        assert 400 == client.get(f"/console/jobs?ids={refused}").status


def test_job(serve) -> None:
    """A finished job has links to its source and its stems, to play and to save."""
    server = serve(
        buckets={"*": BucketAccess(endpoint_url="http://s3.example", access_key="k", secret_key="s")}
    )
    job = submit(server.client, "in/a é.mp3")
    # Before a worker has found out that it is sound, the source may be any object of the bucket.
    waiting = get(server.client, f"/console/jobs/{job}")["Source"]
    assert ("in/a é.mp3", "", "") == (waiting["Key"], waiting.get("Url", ""), waiting.get("DownloadUrl", ""))
    finish(server.store, job)
    shown = get(server.client, f"/console/jobs/{job}")
    assert ("Success", "30.040816") == (shown["Job"]["State"], shown["Job"]["Duration"])
    assert shown["Source"]["Url"].startswith("http://s3.example/media-1250000000/in/a%20%C3%A9.mp3?")
    assert "response-content-disposition=attachment" in shown["Source"]["DownloadUrl"]
    assert {"voice.mp3", "bg.mp3"} == {stem["Key"].rpartition("/")[2] for stem in shown["Stem"]}
    assert "3600" == shown["LinkSeconds"]
    assert 404 == server.client.get(f"/console/jobs/j{'0' * 32}").status


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("out/j1/voice.mp3", "Night bus - voice.mp3"),
        ("out/Night bus/voice.mp3", "Night bus - voice.mp3"),
        ("out/Night bus-voice.mp3", "Night bus-voice.mp3"),
    ],
)
def test_stems_of_several_songs_are_saved_under_names_of_their_own(key: str, name: str) -> None:
    """What is saved of a song names it, so that the stems of several songs can lie in one folder."""
    assert name == name_of_stem(key, "in/Night bus.flac")
    assert key.rpartition("/")[2] == name_of_stem(key, "in/")


def test_attempts_of_a_job(server: ApiServer) -> None:
    """A job shows who had it when, what they did, and why it was tried again."""
    job = submit(server.client)
    attempts = server.store.attempts
    claimed = attempts.claim("w1", (0,))
    attempts.heartbeat(job, claimed.token, 0, stage="download")
    attempts.release(claimed, counts=True, reason="The bucket is unavailable.")
    attempts.claim("w2", (0,))
    first, second = get(server.client, f"/console/jobs/{job}")["Attempt"]
    assert ("w1", "failed", "The bucket is unavailable.") == (
        first["Worker"],
        first["Outcome"],
        first["Reason"],
    )
    assert ["download"] == [each["Name"] for each in first["Stage"]]
    assert int(first["Started"]) <= int(first["Ended"]) <= int(second["Started"])
    assert ("w2", "") == (second["Worker"], second["Outcome"])


def test_callback_that_a_job_asked_for(serve) -> None:
    """The callback of a request is shown; its secrets only to who submitted it or may replay callbacks."""
    rules = {"reader": (Operation.READ,), "submitter": (Operation.READ, Operation.SUBMIT)}
    others = [Credential(secret_id=name, secret_key="k", operations=rule) for name, rule in rules.items()]
    server = serve(credentials=(CREDENTIAL, *others))
    url = "https://me:s3cret@example.com/done?token=t0p"
    asked = f"<CallBackFormat>JSON</CallBackFormat><CallBack>{url}</CallBack>"
    job = server.client.post("/jobs", submission(request=asked)).text("JobsDetail/JobId")
    assert {"CallBack": url, "CallBackFormat": "JSON"} == get(server.client, f"/console/jobs/{job}")[
        "Callback"
    ]
    reader, submitter = (Client(server.port, secret_id=name, secret_key="k") for name in rules)
    for client in (reader, submitter):
        masked = get(client, f"/console/jobs/{job}")["Callback"]["CallBack"]
        assert "https://***@example.com/***?token=***" == masked
    own = submitter.post("/jobs", submission(request=asked)).text("JobsDetail/JobId")
    assert url == get(submitter, f"/console/jobs/{own}")["Callback"]["CallBack"]
    assert {} == (get(server.client, f"/console/jobs/{submit(server.client)}")["Callback"] or {})


def test_workers(serve) -> None:
    """All workers are shown to who manages the bucket, to others those of the bucket's jobs."""
    reader = Credential(secret_id="reader", secret_key="k", read_only=True)
    server = serve(credentials=(CREDENTIAL, reader))
    for name in ("w1", "w2"):
        worker = Worker(name, "separation", 2, (2, 1), "cpu", "1.0", 5, serves=("MusicMode", "htdemucs"))
        server.store.workers.report(worker)
    submit(server.client)
    server.store.attempts.claim(claimant("w1", 4711), (0,))
    (job,) = get(server.client, "/console/jobs?state=Running")["Job"]
    assert ("w1/4711", "w1") == (job["Worker"], job["WorkerName"])
    shown = get(server.client, "/console/workers")["Worker"]
    assert {("w1", "true"), ("w2", "true")} == {(each["Name"], each["Alive"]) for each in shown}
    assert (["2", "1"], "cpu", "2") == (shown[0]["Level"], shown[0]["Device"], shown[0]["Slots"])
    assert ["MusicMode", "htdemucs"] == shown[0]["Serves"]
    own = get(Client(server.port, secret_id="reader", secret_key="k"), "/console/workers")["Worker"]
    assert ["w1"] == [each["Name"] for each in own]


def test_a_worker_that_is_silent_is_not_alive() -> None:
    """A worker whose reports are missing is shown as gone."""
    clock = FixedClock()
    store = InMemoryStore(clock=clock)
    store.workers.report(Worker("w1", "separation", 2, (2,), "cpu", "1.0", 5))
    clock.advance(ALIVE_S + 1)
    with ApiServer(api_settings(), store) as server:
        (shown,) = get(server.client, "/console/workers")["Worker"]
    assert "false" == shown["Alive"]


def test_a_submission_is_checked_before_its_upload(serve) -> None:
    """What would be refused of a submission is refused, by whom it would be; nothing is stored."""
    reader = Credential(secret_id="reader", secret_key="k", read_only=True)
    server = serve(credentials=(CREDENTIAL, reader))
    body = submission(operation="<UserData>order 1</UserData>")
    answer = server.client.post("/console/check", body, {"Accept": "application/json"})
    assert (200, "1") == (answer.status, json.loads(answer.body)["JobCount"])
    refused = server.client.post("/console/check", body.replace("order 1", "歌"))
    assert 400 == refused.status
    assert "UserData" in (refused.text("Message") or "")
    other = Client(server.port, secret_id="reader", secret_key="k").post("/console/check", body)
    assert 403 == other.status
    assert "0" == get(server.client, "/console/jobs")["Total"]


def test_what_a_callback_sends(server: ApiServer) -> None:
    """A callback shows the body that its attempts send, to its own bucket alone."""
    operation = "<CallBackFormat>JSON</CallBackFormat><CallBack>http://receiver.example/hook</CallBack>"
    job = server.client.post("/jobs", submission(request=operation)).text("JobsDetail/JobId") or ""
    finish(server.store, job)
    sent = get(server.client, f"/console/callbacks/d{job[1:]}")
    assert "application/json" == sent["ContentType"]
    body = json.loads(sent["Body"])
    assert ("TaskFinish", job) == (body["EventName"], body["JobsDetail"][0]["JobId"])
    assert 404 == server.client.get(f"/console/callbacks/d{'0' * 32}").status
    other = SigningClient(server.port)
    answer = other.request(
        "GET", f"/console/callbacks/d{job[1:]}", headers={"X-Stemline-Tenant": f"{REGION}/{OTHER}"}
    )
    assert 404 == answer.status


def test_links_are_for_those_who_may(serve) -> None:
    """A credential that may not use the bucket of the stems gets no links to them, nor anybody unsigned."""
    other = Credential(secret_id=SECRET_ID, secret_key="SecretKeyExampleExample", buckets=(BUCKET,))
    server = serve(credentials=(other,), buckets={"*": BucketAccess(access_key="k", secret_key="s")})
    assert 403 == server.client.request("GET", f"/console/jobs/j{'0' * 32}", signed=False).status
    assert 403 == server.client.request("GET", "/console/session", signed=False).status


def test_a_header_chooses_the_bucket(server: ApiServer) -> None:
    """A signed header names another bucket; an unsigned or malformed one, or a foreign region, is refused."""
    client = server.client
    chosen = f"{REGION}/{OTHER}"
    sign = {"X-Stemline-Tenant": chosen}
    signing = SigningClient(server.port)
    assert OTHER == get(signing, "/console/session", **sign)["Bucket"]
    assert b"SignatureDoesNotMatch" in client.request("GET", "/console/session", headers=sign).body
    for wrong in ("ap-nowhere/other-1250000000", "other", f"{REGION}/UPPER-1", f"{REGION}/a/../b-1"):
        answer = signing.request("GET", "/console/session", headers={"X-Stemline-Tenant": wrong})
        assert b"InvalidHost" in answer.body
    created = signing.request("POST", "/jobs", submission().encode(), headers=sign)
    job = created.text("JobsDetail/JobId") or ""
    assert server.store.jobs.get(Tenant(OTHER, REGION), [job]) != [None]


def test_the_header_obeys_the_policy(serve) -> None:
    """A credential of one bucket cannot choose another."""
    own = Credential(secret_id=SECRET_ID, secret_key="SecretKeyExampleExample", buckets=(BUCKET,))
    server = serve(credentials=(own,))
    answer = SigningClient(server.port).request(
        "GET", "/console/session", headers={"X-Stemline-Tenant": f"{REGION}/{OTHER}"}
    )
    assert 403 == answer.status


class SigningClient(Client):
    """A client that signs the header too."""

    def authorization(self, method, target, headers):
        import time

        from stemline.wire.signature import sign
        from stemline.wire.signed_request import SignedRequest

        now = int(time.time())
        return sign(
            SignedRequest.of(method, target, headers),
            secret_id=self.secret_id,
            secret_key=self.secret_key,
            start=now - 60,
            end=now + 600,
            headers=("host", "x-stemline-tenant"),
        )


@pytest.mark.parametrize("path", ["nothing.js", "../pages.py", "..%2Fpages.py", "vendor/../index.html"])
def test_only_the_files_of_the_console_are_served(server: ApiServer, path: str) -> None:
    """A path that is not a file of the console is answered with 404."""
    assert 404 == server.client.request("GET", f"/console/static/{path}", signed=False).status
