"""Jobs over HTTP: submit and query, as XML and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, finish
from stemline.testing.client import BUCKET, REGION, Answer, Client, exchange, submission
from tests.support.jobs import children, submit

TEMPLATE = (
    "<Request><Tag>VoiceSeparate</Tag><Name>both</Name><AudioMode>AudioAndBackground</AudioMode>"
    "<AudioConfig><Codec>mp3</Codec></AudioConfig></Request>"
)


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
    claimed = server.store.attempts.claim("test", (0,))
    assert claimed is not None
    server.store.attempts.fail(claimed, "ResourceNotFound", "The input object does not exist")
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
