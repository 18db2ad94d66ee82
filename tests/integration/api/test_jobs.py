"""Jobs over HTTP: submit, query, list, cancel."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from typing import cast
from xml.etree import ElementTree as ET

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store import Store
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, TENANT, ApiServer, finish
from stemline.testing.client import BUCKET, REGION, Answer, Client, exchange, read_answer, submission
from tests.support.rounds import rounds

TEMPLATE = (
    "<Request><Tag>VoiceSeparate</Tag><Name>both</Name><AudioMode>AudioAndBackground</AudioMode>"
    "<AudioConfig><Codec>mp3</Codec></AudioConfig></Request>"
)


def submit(client: Client, body: str = "", headers: dict[str, str] | None = None) -> str:
    answer = client.post("/jobs", body or submission(), headers)
    assert 200 == answer.status, answer.body
    return answer.text("JobsDetail/JobId") or ""


def queue_id(client: Client) -> str:
    return client.get("/asrqueue").text("QueueList/QueueId") or ""


def set_queue(client: Client, inner: str) -> None:
    assert 200 == client.put(f"/asrqueue/{queue_id(client)}", f"<Request>{inner}</Request>").status


def children(element: ET.Element | None) -> list[str]:
    assert element is not None
    return [child.tag for child in element]


@pytest.mark.shows("POST /jobs", "JobId, State, QueueId, QueueType, Tag", "Input: BucketId, Region, Object")
def test_submitted(client: Client) -> None:
    """A submission is answered with the job, every element in the wire's order, wildcards unexpanded."""
    extra = "<UserData>order &lt;17&gt;</UserData><JobLevel>1</JobLevel>"
    answer = client.post("/jobs", submission(operation=extra, source="in/ü +.mp3"))
    text = answer.body.decode()
    job = answer.text("JobsDetail/JobId") or ""
    queue = answer.text("JobsDetail/QueueId") or ""
    created = answer.text("JobsDetail/CreationTime") or ""
    assert re.fullmatch(r"j[0-9a-f]{32}", job)
    assert re.fullmatch(r"p[0-9a-f]{32}", queue)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0800", created)
    assert text == (
        f"<Response><JobsDetail><Code>Success</Code><Message/><JobId>{job}</JobId><State>Submitted</State>"
        f"<Progress>0</Progress><CreationTime>{created}</CreationTime><StartTime>-</StartTime><EndTime>-</EndTime>"
        f"<QueueId>{queue}</QueueId><QueueType>Speeching</QueueType><Tag>VoiceSeparate</Tag>"
        f"<Input><BucketId>{BUCKET}</BucketId><Region>{REGION}</Region><Object>in/ü +.mp3</Object></Input>"
        "<Operation><VoiceSeparate><AudioConfig><Codec>mp3</Codec></AudioConfig>"
        "<AudioMode>AudioAndBackground</AudioMode></VoiceSeparate>"
        f"<Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>out/bg.${{ext}}</Object>"
        f"<AuObject>out/voice.${{ext}}</AuObject></Output>{extra}</Operation></JobsDetail></Response>"
    )


@pytest.mark.shows(
    "Progress",
    "CreationTime, StartTime, EndTime",
    "MediaInfo, Format, Stream, Audio, Subtitle, Video",
    "MediaResult, OutputFile, Md5Info, ObjectName, Md5, ObjectPrefix",
)
def test_life(server: ApiServer) -> None:
    """Submitted, Running, Success: times turn from ``-``, and only then come MediaInfo and MediaResult."""
    client = server.client
    job = submit(client)
    assert "Submitted" == client.get(f"/jobs/{job}").text("JobsDetail/State")
    finish(server.store, job)
    answer = client.get(f"/jobs/{job}")
    detail = answer.xml.find("JobsDetail")
    assert "Success" == answer.text("JobsDetail/State")
    assert "100" == answer.text("JobsDetail/Progress")
    assert all(re.match(r"\d{4}-", answer.text(f"JobsDetail/{name}Time") or "") for name in ("Start", "End"))
    operation = answer.xml.find("JobsDetail/Operation")
    expected = ["VoiceSeparate", "Output", "MediaInfo", "MediaResult", "JobLevel"]
    assert expected == children(operation)
    assert "out/bg.${ext}" == answer.text("JobsDetail/Operation/Output/Object")
    assert ["Format", "Stream"] == children(answer.xml.find(".//MediaInfo"))
    assert ["Audio", "Audio", "Subtitle", "Video"] == children(answer.xml.find(".//MediaInfo/Stream"))
    file = answer.xml.find(".//MediaResult/OutputFile")
    assert children(file) == [
        *("Bucket", "Md5Info", "Md5Info", "ObjectName", "ObjectName", "ObjectPrefix", "Region"),
    ]
    names = answer.texts(".//MediaResult/OutputFile/ObjectName")
    assert ["out/voice.mp3", "out/bg.mp3"] == names
    assert names == answer.texts(".//Md5Info/ObjectName")
    assert children(detail)[:3] == ["Code", "Message", "JobId"]


@pytest.mark.shows("Code, Message")
def test_failed(server: ApiServer) -> None:
    """A failed job carries its own code and message, and no media elements."""
    job = submit(server.client)
    claimed = server.store.jobs.claim("test", (0,))
    assert claimed is not None
    server.store.jobs.fail(claimed, "ResourceNotFound", "The input object does not exist")
    answer = server.client.get(f"/jobs/{job}")
    shown = [answer.text(f"JobsDetail/{name}") for name in ("Code", "Message", "State")]
    assert ["ResourceNotFound", "The input object does not exist", "Failed"] == shown
    assert answer.xml.find(".//MediaInfo") is None


@pytest.mark.shows("JobsDetail, NonExistJobIds, NextToken")
def test_several_ids(client: Client) -> None:
    """Several ids are answered in the order asked for; each unknown one has an element of its own."""
    first, second = submit(client), submit(client)
    answer = client.get(f"/jobs/{second},jx,{first},jy,{first}")
    assert [second, first] == answer.texts("JobsDetail/JobId")
    assert ["jx", "jy"] == answer.texts("NonExistJobIds")
    only = client.get(f"/jobs/{first}")
    assert ["JobsDetail"] == children(only.xml)


@pytest.mark.shows("GET /jobs/{ids}")
@pytest.mark.parametrize(
    ("ids", "code"), [("j0," * 10 + "j0", ""), (",".join(f"j{i}" for i in range(11)), "InvalidArgument")]
)
def test_ten_ids_at_most(client: Client, ids: str, code: str) -> None:
    """More than ten different ids are refused."""
    assert code == client.get(f"/jobs/{ids}").code


def test_tenants_are_apart(server: ApiServer) -> None:
    """Nothing of one bucket, or of the same bucket elsewhere, is seen from another."""
    job = submit(server.client)
    for host in (f"other-1250000000.ci.{REGION}.myqcloud.com", f"{BUCKET}.ci.ap-beijing.myqcloud.com"):
        other = Client(server.port, host=host)
        assert [job] == other.get(f"/jobs/{job}").texts("NonExistJobIds")
        assert "InvalidArgument" == other.put(f"/jobs/{job}?cancel").code
        assert [""] == other.get("/jobs", tag="VoiceSeparate").texts("JobsDetail")


@pytest.mark.shows("DELETE /template/{template_id}", "TemplateName")
def test_with_template(server: ApiServer) -> None:
    """A job keeps the template's parameters as they were, and shows the template instead of them."""
    client = server.client
    template = client.post("/template", TEMPLATE).text("Template/TemplateId")
    job = submit(client, submission(mode="Nonsense", operation=f"<TemplateId>{template}</TemplateId>"))
    changed = TEMPLATE.replace("mp3", "wav").replace("both", "other")
    assert 200 == client.put(f"/template/{template}", changed).status
    assert 200 == client.delete(f"/template/{template}").status
    answer = client.get(f"/jobs/{job}")
    expected = ["TemplateId", "TemplateName", "Output", "JobLevel"]
    assert expected == children(answer.xml.find("JobsDetail/Operation"))
    assert "both" == answer.text("JobsDetail/Operation/TemplateName")
    stored = server.store.jobs.find(job)
    assert stored is not None
    assert "mp3" == stored.spec.codec


def test_several_operations(client: Client) -> None:
    """Each operation of a request is a job, stored all or none."""
    body = submission(output="<AuObject>a</AuObject>")
    start, end = body.index("<Operation>"), body.index("</Operation>") + len("</Operation>")
    second = body[start:end].replace(">a<", ">b<")
    answer = client.post("/jobs", body[:end] + second + body[end:])
    assert ["a", "b"] == answer.texts("JobsDetail/Operation/Output/AuObject")
    bad = client.post("/jobs", body[:end] + second.replace("AuObject", "BassObject") + body[end:])
    assert "InvalidArgument" == bad.code
    assert 2 == len(client.get("/jobs", tag="VoiceSeparate").texts("JobsDetail"))


@pytest.mark.shows("JSON in and out on every operation")
def test_json(client: Client) -> None:
    """The same job in JSON: same names, lists as lists, for those who send it or ask for it."""
    body = {
        "Tag": "VoiceSeparate",
        "Input": {"Object": "in/a.mp3"},
        "Operation": {
            "VoiceSeparate": {"AudioMode": "IsAudio", "AudioConfig": {"Codec": "mp3", "Bitrate": 64}},
            "Output": {"Region": REGION, "Bucket": BUCKET, "AuObject": "v.${ext}"},
            "JobLevel": 2,
        },
    }
    answer = client.post("/jobs", json.dumps(body), {"Content-Type": "application/json"})
    assert "application/json" == answer.headers["content-type"]
    detail = json.loads(answer.body)["JobsDetail"][0]
    assert {"Codec": "mp3", "Bitrate": "64"} == detail["Operation"]["VoiceSeparate"]["AudioConfig"]
    assert ("2", "") == (detail["Operation"]["JobLevel"], detail["Message"])

    def ask(target: str, method: str = "GET") -> Answer:
        return client.request(method, target, headers={"Accept": "application/json"})

    found = json.loads(ask(f"/jobs/{detail['JobId']},jx").body)
    assert ([detail["JobId"]], ["jx"]) == ([j["JobId"] for j in found["JobsDetail"]], found["NonExistJobIds"])
    empty = json.loads(ask("/jobs?tag=VoiceSeparate&states=Failed").body)
    assert {"JobsDetail": [], "NextToken": ""} == empty
    error = ask("/jobs?tag=VoiceSeparate&size=101")
    assert "application/json" == error.headers["content-type"]
    assert "InvalidArgument" == json.loads(error.body)["Code"]
    assert b"" == ask(f"/jobs/{detail['JobId']}", "PUT").body


@pytest.mark.parametrize(
    ("accept", "sent", "expected"),
    [
        ("", "", "application/xml"),
        ("*/*", "application/xml", "application/xml"),
        ("*/*", "application/json; charset=utf-8", "application/json"),
        ("application/json, text/plain, */*", "", "application/json"),
        ("application/xml, application/json", "", "application/xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "application/xml"),
        ("application/xml", "application/json", "application/xml"),
    ],
)
def test_form_of_the_answer(client: Client, accept: str, sent: str, expected: str) -> None:
    """JSON goes to who asks for it or sends it, XML to everybody else."""
    headers = {name: value for name, value in (("Accept", accept), ("Content-Type", sent)) if value}
    answer = client.request("GET", "/jobs?tag=VoiceSeparate", headers=headers)
    assert expected == answer.headers["content-type"]


def test_additions_on_request(client: Client) -> None:
    """XML answers hold an element that the vendor does not have only where the request asks for it."""
    config = "<AudioConfig><Codec>wav</Codec><BitDepth>32</BitDepth></AudioConfig>"
    job = submit(client, submission(config=config))
    path = "JobsDetail/Operation/VoiceSeparate/AudioConfig/BitDepth"
    assert client.get(f"/jobs/{job}").text(path) is None
    assert client.get(f"/jobs/{job}", additions="1").text(path) == "32"
    asked = client.request("GET", f"/jobs/{job}", headers={"X-Stemline-Additions": "1"})
    assert asked.text(path) == "32"
    answer = client.request("GET", f"/jobs/{job}", headers={"Accept": "application/json"})
    operation = json.loads(answer.body)["JobsDetail"][0]["Operation"]
    assert "32" == operation["VoiceSeparate"]["AudioConfig"]["BitDepth"]


@pytest.mark.shows("PUT /jobs/{ids}", "Go, Java, PHP, iOS, Android, Terraform")
@pytest.mark.parametrize("suffix", ["", "?cancel", "?cancel=", "/?cancel"])
def test_cancel(client: Client, suffix: str) -> None:
    """Cancel in each spelling answers 200 with nothing in it; a second one changes nothing."""
    job = submit(client)
    for _ in range(2):
        answer = client.put(f"/jobs/{job}{suffix}")
        assert (200, b"", "0") == (answer.status, answer.body, answer.headers["content-length"])
        assert "content-type" not in answer.headers
        detail = client.get(f"/jobs/{job}")
        assert ("Cancel", "Success", "-") == tuple(
            detail.text(f"JobsDetail/{name}") for name in ("State", "Code", "StartTime")
        )


def test_cancel_is_all_or_nothing(server: ApiServer) -> None:
    """One job that cannot be cancelled keeps the others from it."""
    client = server.client
    done, waiting = submit(client), submit(client)
    finish(server.store, done)
    for bad in (done, "j" + "0" * 32):
        answer = client.put(f"/jobs/{waiting},{bad}?cancel")
        assert (400, "InvalidArgument") == (answer.status, answer.code)
        assert "Submitted" == client.get(f"/jobs/{waiting}").text("JobsDetail/State")
    other = submit(client)
    assert 200 == client.put(f"/jobs/{waiting},{other}?cancel").status
    assert ["Cancel", "Cancel"] == client.get(f"/jobs/{waiting},{other}").texts("JobsDetail/State")


@pytest.mark.shows("PUT /jobs/{ids}")
@pytest.mark.parametrize("beyond", [True, False])
def test_cancel_running(serve: Callable[..., ApiServer], beyond: bool) -> None:
    """A running job is asked to stop, or refused where the vendor's behaviour is wanted."""
    server = serve(cancel_running=beyond)
    job = submit(server.client)
    assert server.store.jobs.claim("test", (0,)) is not None
    answer = server.client.put(f"/jobs/{job}?cancel")
    assert (200 if beyond else 400) == answer.status
    stored = server.store.jobs.find(job)
    assert stored is not None
    assert beyond is stored.cancel_requested


@pytest.mark.shows("PUT /asrqueue/{queue_id}")
def test_pause(server: ApiServer) -> None:
    """Waiting jobs of a paused queue show Pause, can be cancelled, and are Submitted again afterwards."""
    client = server.client
    running, waiting, third = submit(client), submit(client), submit(client)
    assert server.store.jobs.claim("test", (0,)) is not None
    set_queue(client, "<State>Paused</State>")
    states = client.get(f"/jobs/{running},{waiting}").texts("JobsDetail/State")
    assert ["Running", "Pause"] == states
    answer = client.post("/jobs", submission())
    assert (200, "Submitted") == (answer.status, answer.text("JobsDetail/State"))
    assert 200 == client.put(f"/jobs/{third}?cancel").status
    paused = client.get("/jobs", tag="VoiceSeparate", states="Pause").texts("JobsDetail/JobId")
    assert [answer.text("JobsDetail/JobId"), waiting] == paused
    set_queue(client, "<State>Active</State>")
    assert ["Submitted", "Cancel"] == client.get(f"/jobs/{waiting},{third}").texts("JobsDetail/State")


@pytest.mark.shows("MaxSize, MaxConcurrent")
def test_full_queue(client: Client) -> None:
    """A full queue refuses with SlowDown and stores nothing."""
    set_queue(client, "<MaxSize>2</MaxSize>")
    submit(client)
    submit(client)
    answer = client.post("/jobs", submission())
    assert (503, "SlowDown") == (answer.status, answer.code)
    assert 2 == len(client.get("/jobs", tag="VoiceSeparate").texts("JobsDetail"))


@pytest.mark.shows("MaxSize, MaxConcurrent")
def test_max_concurrent(server: ApiServer) -> None:
    """No more jobs of a queue run at once than it allows, over all workers."""
    client = server.client
    set_queue(client, "<MaxConcurrent>2</MaxConcurrent>")
    for _ in range(4):
        submit(client)
    claims = [server.store.jobs.claim(f"worker {i}", (2, 1, 0)) for i in range(4)]
    assert 2 == sum(job is not None for job in claims)


@pytest.mark.shows("QueueId")
def test_named_queue(client: Client) -> None:
    """A job may name its queue; an unknown one is refused."""
    queue = queue_id(client)
    assert 200 == client.post("/jobs", submission(request=f"<QueueId>{queue}</QueueId>")).status
    answer = client.post("/jobs", submission(request="<QueueId>p0</QueueId>"))
    assert (400, "QueueNotFound") == (answer.status, answer.code)


@pytest.mark.shows("Idempotency-Key")
def test_idempotency(client: Client) -> None:
    """The same key and body give the same job; another body is a conflict; another key another job."""
    key = {"Idempotency-Key": "order-17"}
    first = submit(client, headers=key)
    assert first == submit(client, headers=key)
    answer = client.post("/jobs", submission(source="other.mp3"), key)
    assert (409, "InvalidArgument") == (answer.status, answer.code)
    assert first != submit(client, headers={"Idempotency-Key": "order-18"})
    assert first != submit(client)
    assert "InvalidArgument" == client.post("/jobs", submission(), {"Idempotency-Key": "x" * 256}).code


@pytest.mark.shows("Idempotency-Key")
def test_idempotent_repeats_at_once(client: Client) -> None:
    """Of ten equal requests at the same moment one makes the job and all get it."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(submit(client, headers={"Idempotency-Key": "k"})))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (10, 1) == (len(found), len(set(found)))


@pytest.mark.shows("POST /asrbucket")
def test_unopened(serve: Callable[..., ApiServer]) -> None:
    """Where the service is not opened by itself a submission is refused before its body is looked at."""
    client = serve(auto_open=False).client
    for body in (submission(), "nonsense", ""):
        answer = client.post("/jobs", body)
        assert (400, "AsrBucketUnBinded") == (answer.status, answer.code)
    assert 200 == client.request("POST", "/asrbucket").status
    submit(client)
    assert 200 == client.delete("/asrbucket").status
    assert "AsrBucketUnBinded" == client.post("/jobs", submission()).code


@pytest.mark.shows("GET /asrbucket", "scopes: buckets, read-only", "Output, Region, Bucket")
def test_scopes(serve: Callable[..., ApiServer]) -> None:
    """A credential reaches its own buckets only, also as destinations; a read-only one changes nothing."""
    keys = (
        CREDENTIAL,
        Credential(secret_id="one", secret_key="k", buckets=(BUCKET,)),
        Credential(secret_id="reader", secret_key="k", read_only=True),
    )
    server = serve(credentials=keys)
    one = Client(server.port, secret_id="one", secret_key="k")
    job = submit(one)
    elsewhere = submission().replace(f"<Bucket>{BUCKET}<", "<Bucket>other-1250000000<")
    assert (403, "AccessDenied") == ((a := one.post("/jobs", elsewhere)).status, a.code)
    other = Client(server.port, f"other-1250000000.ci.{REGION}.myqcloud.com", "one", "k")
    assert "AccessDenied" == other.get("/jobs/j1").code
    assert [BUCKET] == one.get("/asrbucket").texts("AsrBucketList/BucketId")
    reader = Client(server.port, secret_id="reader", secret_key="k")
    assert [job] == reader.get(f"/jobs/{job}").texts("JobsDetail/JobId")
    for answer in (
        reader.post("/jobs", submission()),
        reader.put(f"/jobs/{job}"),
        reader.delete("/asrbucket"),
    ):
        assert (403, "AccessDenied") == (answer.status, answer.code)


@pytest.mark.shows("anonymous access")
def test_anonymous(serve: Callable[..., ApiServer]) -> None:
    """Unsigned requests work only where the operator allows them; a wrong signature never does."""
    server = serve(anonymous_access=True)
    assert 200 == server.client.request("POST", "/jobs", submission().encode(), signed=False).status
    wrong = Client(server.port, secret_key="wrong")
    assert "SignatureDoesNotMatch" == wrong.get("/jobs/j1").code


def test_rate_limit(serve: Callable[..., ApiServer]) -> None:
    """Above its rate a credential gets SlowDown with Retry-After; other credentials do not."""
    keys = (CREDENTIAL, Credential(secret_id="b", secret_key="k"))
    server = serve(credentials=keys, rate_limit_per_s=0.01, rate_limit_burst=3)
    answers = [server.client.get("/jobs/j1") for _ in range(4)]
    assert [200, 200, 200, 503] == [answer.status for answer in answers]
    assert "SlowDown" == answers[3].code
    assert 50 < int(answers[3].headers["retry-after"]) <= 100
    assert 200 == Client(server.port, secret_id="b", secret_key="k").get("/jobs/j1").status
    assert 503 == server.client.get("/jobs/j1").status


def test_store_down(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., ApiServer]) -> None:
    """Without the store nothing is accepted and the answer is SlowDown; afterwards all works again."""
    valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    valkey.start()
    server = serve(redis_url=valkey.url)
    job = submit(server.client)
    valkey.kill()
    for answer in (server.client.post("/jobs", submission()), server.client.get(f"/jobs/{job}")):
        assert (503, "SlowDown") == (answer.status, answer.code)
    assert 200 == exchange(server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status
    valkey.start()
    assert [job] == server.client.get(f"/jobs/{job}").texts("JobsDetail/JobId")
    submit(server.client)
    valkey.stop()


# -- lists


def listed(client: Client, **query: str) -> list[str]:
    answer = client.get("/jobs", tag="VoiceSeparate", **query)
    assert 200 == answer.status, answer.body
    return answer.texts("JobsDetail/JobId")


@pytest.mark.shows(
    "GET /jobs",
    "tag, queueId, queueType, orderByTime, nextToken, size, states",
    "startCreationTime, endCreationTime, inputObject",
    "workflowId, inventoryTriggerJobId",
)
def test_list_filters(server: ApiServer) -> None:
    """States, queue, input, creation time, order and size choose as documented."""
    client = server.client
    jobs = [submit(client, submission(source=f"in/{i % 2}.mp3")) for i in range(4)]
    assert 200 == client.put(f"/jobs/{jobs[1]}").status
    finish(server.store, jobs[0])
    queue = queue_id(client)
    newest = jobs[::-1]
    assert newest == listed(client)
    assert newest == listed(client, orderByTime="Desc", states="All", queueId=queue, queueType="Speeching")
    assert jobs == listed(client, orderByTime="Asc")
    assert jobs[:2] == listed(client, orderByTime="Asc", states="Success,Cancel")
    assert [jobs[2], jobs[0]] == listed(client, inputObject="in/0.mp3")
    assert newest[:2] == listed(client, size="2")
    assert [] == listed(client, queueId="p0")
    assert [] == listed(client, queueType="Media")
    assert newest == listed(client, queueId=queue, queueType="Media")  # queueId outranks queueType
    assert [] == listed(client, workflowId="w1")
    assert [] == listed(client, inventoryTriggerJobId="i1")
    created = client.get(f"/jobs/{jobs[0]}").text("JobsDetail/CreationTime") or ""
    assert jobs[0] in listed(client, startCreationTime=created, endCreationTime=created)
    assert [] == listed(client, endCreationTime="2020-01-01T00:00:00+0800")
    assert newest == listed(client, startCreationTime="2020-01-01T00:00:00Z")
    assert newest == listed(client, startCreationTime="2020-01-01T00:00:00+08:00")


@pytest.mark.shows("one trailing slash, + and % in path and query, names without case")
def test_list_names_without_case(client: Client) -> None:
    """Old documents write ``Tag`` and ``Size``: names are compared without regard to case."""
    job = submit(client)
    assert [job] == client.get("/jobs", Tag="VoiceSeparate", Size="1").texts("JobsDetail/JobId")


@pytest.mark.shows("JobsDetail, NonExistJobIds, NextToken")
def test_empty_list(client: Client) -> None:
    """An empty list is one empty element, and no further page is an empty one too."""
    expected = b"<Response><JobsDetail/><NextToken/></Response>"
    assert expected == client.get("/jobs", tag="VoiceSeparate").body
    submit(client)
    assert expected == client.get("/jobs", tag="Transcode").body


@pytest.mark.shows("tag, queueId, queueType, orderByTime, nextToken, size, states")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"tag": ""},
        {"tag": "VoiceSeparate", "size": "-1"},
        {"tag": "VoiceSeparate", "size": "101"},
        {"tag": "VoiceSeparate", "size": "ten"},
        {"tag": "VoiceSeparate", "states": "Done"},
        {"tag": "VoiceSeparate", "orderByTime": "Newest"},
        {"tag": "VoiceSeparate", "nextToken": "abc"},
        {"tag": "VoiceSeparate", "startCreationTime": "yesterday"},
        {"tag": "VoiceSeparate", "startCreationTime": "2026-13-01T00:00:00+0800"},
        {"tag": "VoiceSeparate", "endCreationTime": "0000-01-01T00:00:00+0800"},
    ],
)
def test_bad_lists(client: Client, query: dict[str, str]) -> None:
    """A bad parameter of a list is refused."""
    answer = client.get("/jobs", **query)
    assert (400, "InvalidArgument") == (answer.status, answer.code)


def test_paging(client: Client) -> None:
    """Pages of one, until NextToken is empty, show every job once."""
    jobs = [submit(client) for _ in range(5)]
    seen, token = [], ""
    for _ in range(10):
        answer = client.get("/jobs", tag="VoiceSeparate", size="1", nextToken=token)
        seen += answer.texts("JobsDetail/JobId")
        token = answer.text("NextToken") or ""
        if not token:
            break
    assert (jobs[::-1], "") == (seen, token)


CLONE = """
local record = redis.call('HGETALL', KEYS[1])
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local id = 'j' .. string.format('%032x', i)
  redis.call('HSET', ARGV[1] .. ':job:' .. id, unpack(record))
  redis.call('HSET', ARGV[1] .. ':job:' .. id, 'created', i)
  redis.call('ZADD', KEYS[2], i, id)
end
"""


PAGED = rounds(4_000, 100_000)


@pytest.mark.shows("GET /jobs")
def test_paging_over_many_jobs(server: ApiServer, valkey: redis.Redis) -> None:
    """While new jobs keep arriving, paging over thousands shows each old one exactly once, in order."""
    first = submit(server.client)
    index = f"stemline:index:{TENANT}:all"
    for start in range(1, PAGED, 1_000):  # copies of a real record, in parts that a busy machine does in time
        end = min(start + 999, PAGED - 1)
        valkey.eval(CLONE, 2, f"stemline:job:{first}", index, "stemline", start, end)
    expected = [job.decode() for job in cast("list[bytes]", valkey.zrevrange(index, 0, -1))]
    assert PAGED == len(expected)
    stop = threading.Event()
    spec = JobSpec(TENANT, "in", VoiceSeparate(AudioMode.IS_AUDIO), Output(REGION, BUCKET, au_object="o"))
    arriving = threading.Thread(target=keep_submitting, args=(server.store, spec, stop))
    arriving.start()
    try:
        seen = all_pages(server)
    finally:
        stop.set()
        arriving.join()
    old = set(expected)
    assert expected == [job for job in seen if job in old]
    assert len(seen) == len(set(seen))
    assert valkey.zcard(index) > PAGED


def all_pages(server: ApiServer) -> list[str]:
    """The ids of all jobs, read in pages of 100 over one connection."""
    seen: list[str] = []
    token = str(2**51)  # before the first page everything that is there counts as old
    with socket.create_connection(("127.0.0.1", server.port), timeout=180) as connection:
        while token:
            target = f"/jobs?tag=VoiceSeparate&size=100&nextToken={token}"
            connection.sendall(server.client.raw("GET", target, headers={"Accept": "application/json"}))
            page = json.loads(read_answer(connection).body)
            seen += [job["JobId"] for job in page["JobsDetail"]]
            token = page["NextToken"]
    return seen


def keep_submitting(store: Store, spec: JobSpec, stop: threading.Event) -> None:
    while not stop.wait(0.01):
        store.jobs.create([spec])
