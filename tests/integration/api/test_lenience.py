"""Over HTTP, words in any case and zeros for "not set" give the same answers, in XML and in JSON."""

from __future__ import annotations

import json

import pytest

from stemline.testing.client import Client, submission

JSON = {"Accept": "application/json", "Content-Type": "application/json"}


def queue_of(client: Client) -> str:
    return client.get("/asrqueue").text("QueueList/QueueId") or ""


@pytest.mark.shows("pageNumber, pageSize")
@pytest.mark.parametrize("path", ["/jobs", "/template", "/asrqueue", "/queue", "/asrbucket", "/callbacks"])
def test_zeros_on_every_list(client: Client, path: str) -> None:
    """A list with pageSize, pageNumber and size of 0, which the iOS SDK sends, is the first page of ten."""
    client.post(
        "/template", "<Request><Tag>VoiceSeparate</Tag><Name>a</Name><AudioMode>IsAudio</AudioMode></Request>"
    )
    client.post("/jobs", submission())
    tag = {"tag": "VoiceSeparate"} if path in {"/jobs", "/template"} else {}
    plain = client.get(path, **tag)
    zeros = client.get(path, **tag, pageSize="0", pageNumber="0", size="0")
    assert 200 == zeros.status
    expected, shown = (
        [(e.tag, e.text) for e in answer.xml.iter() if e.tag != "RequestId"] for answer in (plain, zeros)
    )
    assert expected == shown


@pytest.mark.shows("words of a fixed set, in parameters and bodies")
def test_submit_in_other_cases(client: Client) -> None:
    """A job whose words are all in another case is accepted and shown in the canonical spelling."""
    config = "<AudioConfig><Codec>ACC</Codec></AudioConfig>"
    callback = "<CallBackFormat>json</CallBackFormat><CallBackType>url</CallBackType>"
    body = submission(mode="isaudio", config=config, request=callback + "<QueueType>SPEECHING</QueueType>")
    answer = client.post("/jobs", body.replace(">VoiceSeparate<", ">voiceSEPARATE<"))
    assert 200 == answer.status
    where = "JobsDetail/Operation/VoiceSeparate"
    shown = [answer.text(f"{where}/{name}") for name in ("AudioMode", "AudioConfig/Codec")]
    assert ["IsAudio", "aac"] == shown
    assert "VoiceSeparate" == answer.text("JobsDetail/Tag")
    for states in ("submitted", "SUBMITTED,success", "all"):
        found = client.get("/jobs", tag="VOICESEPARATE", states=states, orderByTime="ASC")
        assert [answer.text("JobsDetail/JobId")] == found.texts("JobsDetail/JobId"), states


@pytest.mark.shows("words of a fixed set, in parameters and bodies")
def test_json_in_other_cases(client: Client) -> None:
    """Templates and queues take words in any case in JSON too, when they are made and when they change."""
    request = {
        "Tag": "VOICESEPARATE",
        "Name": "json",
        "AudioMode": "MUSICmode",
        "AudioConfig": {"Codec": "WAV"},
    }
    made = client.request("POST", "/template", json.dumps(request).encode(), JSON)
    template = json.loads(made.body)["Template"]
    assert {"AudioMode": "MusicMode", "AudioConfig": {"Codec": "wav"}} == template["VoiceSeparate"]
    change = json.dumps({"AudioMode": "isbackground", "AudioConfig": {"Codec": "Flac"}}).encode()
    changed = client.request("PUT", f"/template/{template['TemplateId']}", change, JSON)
    separate = json.loads(changed.body)["Template"]["VoiceSeparate"]
    assert {"AudioMode": "IsBackground", "AudioConfig": {"Codec": "flac"}} == separate
    notify = {
        "State": "ON",
        "Event": "taskfinish",
        "Type": "URL",
        "Url": "http://cb.example.com/q",
        "ResultFormat": "json",
    }
    body = json.dumps({"State": "paused", "NotifyConfig": notify}).encode()
    answer = json.loads(client.request("PUT", f"/queue/{queue_of(client)}", body, JSON).body)["Queue"]
    assert "Paused" == answer["State"]
    shown = {name: answer["NotifyConfig"][name] for name in ("State", "Event", "Type", "ResultFormat")}
    assert {"State": "On", "Event": "TaskFinish", "Type": "Url", "ResultFormat": "JSON"} == shown


@pytest.mark.shows("words of a fixed set, in parameters and bodies")
def test_filters_in_other_cases(client: Client) -> None:
    """The filters of lists are read in any case."""
    assert 200 == client.request("POST", "/asrbucket").status
    assert 1 == len(client.get("/asrqueue", state="ACTIVE", category="SPEECHING").texts("QueueList"))
    assert 0 == len(client.get("/asrqueue", state="paused").texts("QueueList"))
    assert 1 == len(client.get("/asrbucket", regions="ALL").texts("AsrBucketList"))
    assert 200 == client.get("/template", tag="all", category="CUSTOM").status
    assert 200 == client.get("/template", tag="voiceseparate", category="official").status


@pytest.mark.shows("NotifyConfig: Event, ResultFormat, Type, Url")
def test_url_while_off(client: Client) -> None:
    """A queue's Url without a scheme is stored while State is Off, and refused once State is On."""
    queue = queue_of(client)
    off = "<Request><NotifyConfig><State>Off</State><Url>www.example.com/cb</Url></NotifyConfig></Request>"
    answer = client.put(f"/asrqueue/{queue}", off)
    assert (200, "www.example.com/cb") == (answer.status, answer.text("Queue/NotifyConfig/Url"))
    on = "<State>On</State><Event>TaskFinish</Event><Type>Url</Type>"
    refused = client.put(f"/asrqueue/{queue}", f"<Request><NotifyConfig>{on}</NotifyConfig></Request>")
    assert (400, "InvalidArgument") == (refused.status, refused.code)
    job = client.post("/jobs", submission())
    assert 200 == job.status


def test_empty_list_of_jobs(client: Client) -> None:
    """An empty list of jobs has one empty JobsDetail in XML, and an empty list in JSON."""
    answer = client.get("/jobs", tag="VoiceSeparate")
    assert b"<JobsDetail/>" in answer.body
    shown = client.request("GET", "/jobs?tag=VoiceSeparate", b"", {"Accept": "application/json"})
    assert [] == json.loads(shown.body)["JobsDetail"]
