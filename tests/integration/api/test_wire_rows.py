"""Rows of docs/wire-coverage.md that a client can see only over several requests, or in every mode."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from stemline.api.openapi import OPERATIONS
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.job import Waveform
from stemline.jobs.separation import MODE_TRACKS, AudioMode
from stemline.testing.api_server import TENANT, ApiServer, finish
from stemline.testing.client import BUCKET, REGION, Answer, Client, submission
from stemline.testing.samples import job_result
from tests.integration.api.test_queues import ON, the_queue

NAMES = {"AuObject": "v", "Object": "b", "BassObject": "bass", "DrumObject": "drum"}
"""Each element of the output, and the file that it is given."""
ALL_NAMES = "".join(f"<{name}>out/${{jobid}}/{file}.${{ext}}</{name}>" for name, file in NAMES.items())


def submit(client: Client, body: str) -> str:
    answer = client.post("/jobs", body)
    assert 200 == answer.status, answer.body
    return answer.text("JobsDetail/JobId") or ""


@pytest.mark.shows("VoiceSeparate, AudioMode", "AuObject, BassObject, DrumObject")
@pytest.mark.parametrize("mode", AudioMode)
def test_each_mode_writes_its_tracks_under_expanded_names(server: ApiServer, mode: AudioMode) -> None:
    """A job in each mode has its own tracks alone; `${jobid}` and `${ext}` are replaced in all names."""
    config = "<AudioConfig><Codec>wav</Codec></AudioConfig>"
    job = submit(server.client, submission(mode=mode, config=config, output=ALL_NAMES))
    finish(server.store, job)
    answer = server.client.get(f"/jobs/{job}")
    assert mode == answer.text("JobsDetail/Operation/VoiceSeparate/AudioMode")
    expected = [f"out/{job}/{NAMES[track]}.wav" for track in MODE_TRACKS[mode]]
    assert expected == answer.texts(".//OutputFile/ObjectName")
    callback = server.store.jobs.find(job)
    assert callback is not None
    assert {f"out/{job}/{file}.wav" for file in NAMES.values()} >= {
        callback.spec.key(track, job) for track in MODE_TRACKS[mode]
    }


@pytest.mark.shows("Input.Url")
def test_a_url_as_the_source_has_no_effect(client: Client) -> None:
    """Beside an object it is ignored and not shown; alone it is no source."""
    body = submission().replace("<Input>", "<Input><Url>http://elsewhere.example/a.mp3</Url>")
    answer = client.post("/jobs", body)
    assert ["BucketId", "Region", "Object"] == [
        child.tag for child in answer.xml.iterfind("JobsDetail/Input/*")
    ]
    assert "in/song.mp3" == answer.text("JobsDetail/Input/Object")
    alone = client.post("/jobs", body.replace("<Object>in/song.mp3</Object>", "", 1))
    assert ("InvalidArgument", "Input.Object is missing.") == (alone.code, alone.text("Message"))


@pytest.mark.shows("JobLevel")
def test_a_higher_level_is_served_first(server: ApiServer) -> None:
    """Jobs start by their level, and within a level in the order of their submission."""
    levels = ("0", "1", "2", "1", "2", "0")
    jobs = [submit(server.client, submission(operation=f"<JobLevel>{level}</JobLevel>")) for level in levels]
    started = [server.store.attempts.claim("test", (2, 1, 0)) for _ in levels]
    assert [jobs[2], jobs[4], jobs[1], jobs[3], jobs[0], jobs[5]] == [job and job.id for job in started]
    shown = server.client.get(f"/jobs/{','.join(jobs)}").texts("JobsDetail/Operation/JobLevel")
    assert list(levels) == shown


@pytest.mark.shows("JobId, State, QueueId, QueueType, Tag")
def test_all_six_states_are_shown(server: ApiServer) -> None:
    """Submitted, Running, Success, Failed, Cancel, and Pause while the queue is paused."""
    client, store = server.client, server.store
    success, failed, running, cancelled, waiting = (submit(client, submission()) for _ in range(5))
    finish(store, success)
    claimed = store.attempts.claim("test", (0,))
    assert claimed is not None
    store.attempts.fail(claimed, "InternalError", "no")
    assert store.attempts.claim("test", (0,)) is not None
    assert 200 == client.put(f"/jobs/{cancelled}?cancel").status
    ids = f"{success},{failed},{running},{cancelled},{waiting}"
    ended = ["Success", "Failed", "Running", "Cancel"]
    assert [*ended, "Submitted"] == client.get(f"/jobs/{ids}").texts("JobsDetail/State")
    queue = the_queue(client)
    client.put(f"/asrqueue/{queue}", "<Request><State>Paused</State></Request>")
    answer = client.get(f"/jobs/{ids}")
    assert [*ended, "Pause"] == answer.texts("JobsDetail/State")
    assert {("Speeching", "VoiceSeparate", queue)} == {
        (job.findtext("QueueType"), job.findtext("Tag"), job.findtext("QueueId"))
        for job in answer.xml.iterfind("JobsDetail")
    }


@pytest.mark.shows("POST /jobs", "Operation")
def test_ten_operations_at_most(client: Client) -> None:
    """A request may hold ten operations, each a job; eleven are refused, and nothing is stored then."""
    body = submission()
    start, end = body.index("<Operation>"), body.index("</Operation>") + len("</Operation>")
    ten = client.post("/jobs", body[:start] + body[start:end] * 10 + body[end:])
    assert 10 == len(set(ten.texts("JobsDetail/JobId")))
    eleven = client.post("/jobs", body[:start] + body[start:end] * 11 + body[end:])
    assert "InvalidArgument" == eleven.code
    assert 10 == len(client.get("/jobs", tag="VoiceSeparate", size="100").texts("JobsDetail"))


@pytest.mark.shows("GET /jobs/{ids}", "PUT /jobs/{ids}")
def test_ten_ids(client: Client) -> None:
    """Ten jobs are answered, and cancelled, by one request."""
    jobs = [submit(client, submission()) for _ in range(10)]
    assert jobs == client.get(f"/jobs/{','.join(jobs)}").texts("JobsDetail/JobId")
    assert 200 == client.put(f"/jobs/{','.join(jobs)}?cancel").status
    assert ["Cancel"] * 10 == client.get(f"/jobs/{','.join(jobs)}").texts("JobsDetail/State")


MQ = (
    "<CallBackType>TDMQ</CallBackType><CallBackMqConfig><MqRegion>{}</MqRegion><MqMode>Queue</MqMode>"
    "<MqName>q</MqName></CallBackMqConfig>"
)


@pytest.mark.shows("CallBackMqConfig, MqRegion, MqMode, MqName")
def test_regions_of_message_queues_are_those_with_an_endpoint(serve) -> None:
    """Regions of the vendor, and those of the settings; no others."""
    own = {"home": "http://127.0.0.1:1"}
    server = serve(tdmq_endpoints=own, tdmq_secret_id="i", tdmq_secret_key="k")
    job = submit(server.client, submission(request=MQ.format("home")))
    stored = server.store.jobs.find(job)
    assert stored is not None
    assert stored.spec.callback.mq is not None
    assert ("home", "Queue", "q") == (
        stored.spec.callback.mq.region,
        stored.spec.callback.mq.mode,
        stored.spec.callback.mq.name,
    )
    refused = server.client.post("/jobs", submission(request=MQ.format("nowhere")))
    assert "InvalidArgument" == refused.code
    assert "MqRegion" in (refused.text("Message") or "")


@pytest.mark.shows("DELETE /asrbucket")
def test_closing_keeps_jobs_queue_and_templates(server: ApiServer) -> None:
    """After closing nothing is lost: the bucket is opened again with what it had."""
    client = server.client
    body = (
        "<Request><Tag>VoiceSeparate</Tag><Name>kept</Name><AudioMode>IsAudio</AudioMode>"
        "<AudioConfig><Codec>mp3</Codec></AudioConfig></Request>"
    )
    template = client.post("/template", body).text("Template/TemplateId")
    job, queue = submit(client, submission()), the_queue(client)
    client.put(f"/asrqueue/{queue}", "<Request><MaxSize>7</MaxSize></Request>")
    assert BUCKET == client.delete("/asrbucket").text("BucketName")
    assert job == client.get(f"/jobs/{job}").text("JobsDetail/JobId")
    client.request("POST", "/asrbucket")
    assert [template] == client.get("/template").texts("TemplateList/TemplateId")
    found = client.get("/asrqueue")
    assert (queue, "7") == (found.text("QueueList/QueueId"), found.text("QueueList/MaxSize"))
    finish(server.store, job)
    assert "Success" == client.get(f"/jobs/{job}").text("JobsDetail/State")


@pytest.mark.shows("KafkaConfig", "QueueType, CallBackKafkaConfig, unknown elements")
def test_what_is_ignored_changes_nothing(client: Client) -> None:
    """Kafka, another queue's type and unknown elements are accepted, and neither kept nor shown."""
    queue = the_queue(client)
    kafka = "<KafkaConfig><Region>x</Region><InstanceId>i</InstanceId><Topic>t</Topic></KafkaConfig>"
    plain, given = (
        client.put(f"/asrqueue/{queue}", f"<Request><NotifyConfig>{ON}{extra}</NotifyConfig></Request>")
        for extra in ("", kafka)
    )
    assert without_ids(plain) == without_ids(given)
    assert b"Kafka" not in given.body
    extra = "<QueueType>Speeching</QueueType><Nothing/>"
    extra += "<CallBackKafkaConfig><Topic>t</Topic></CallBackKafkaConfig>"
    plain, given = (client.post("/jobs", submission(request=each)) for each in ("", extra))
    assert without_ids(plain) == without_ids(given)


def without_ids(answer: Answer) -> bytes:
    """The body of an answer without what differs each time."""
    return re.sub(rb"<(\w*Id|\w*Time|RequestId)>[^<]*<", rb"<\1><", answer.body)


SDKS = "Go, Java, PHP, iOS, Android, Terraform"


@pytest.mark.shows(SDKS)
def test_quirks_of_other_sdks(server: ApiServer) -> None:
    """Each SDK that is not at hand is stood in for by the request that its source is documented to make."""
    client = server.client
    # Go: all four children of AudioConfig, empty ones too, and the codec in capitals; Content-MD5.
    go = "<AudioConfig><Codec>AAC</Codec><Samplerate/><Bitrate/><Channels/></AudioConfig>"
    job = submit(client, submission(config=go))
    assert "aac" == client.get(f"/jobs/{job}").text("JobsDetail/Operation/VoiceSeparate/AudioConfig/Codec")
    # Java: further elements in the request; the last child of Input is the object; cancel without `?cancel`.
    java = submission(request=f"<BucketName>{BUCKET}</BucketName><QueueType>Speeching</QueueType>")
    answer = client.post("/jobs", java)
    assert "Object" == answer.xml.find("JobsDetail/Input")[-1].tag
    assert 200 == client.put(f"/jobs/{answer.text('JobsDetail/JobId')}").status
    # PHP: empty CallBack and TemplateId.
    empty = submission(operation="<TemplateId/>", request="<CallBack></CallBack>")
    assert 200 == client.post("/jobs", empty).status
    # Go and Java change a queue under /queue only; iOS sends every filter, and 0 for a size.
    queue = the_queue(client)
    assert 200 == client.put(f"/queue/{queue}", f"<Request><QueueID>{queue}</QueueID></Request>").status
    every = {"queueType": "Speeching", "inputObject": "", "states": "All", "size": "0", "nextToken": ""}
    assert 200 == client.get("/jobs", tag="VoiceSeparate", queueId=queue, **every).status
    assert 200 == client.get("/queue", category="Speeching", pageSize="0", pageNumber="0").status
    # Terraform: an update without AudioConfig keeps it, and a template that is gone has no TemplateList.
    body = (
        "<Request><Tag>VoiceSeparate</Tag><Name>t</Name><AudioMode>IsAudio</AudioMode>"
        "<AudioConfig><Codec>flac</Codec></AudioConfig></Request>"
    )
    template = client.post("/template", body).text("Template/TemplateId")
    update = "<Request><Tag>VoiceSeparate</Tag><Name>u</Name><AudioMode>IsAudio</AudioMode></Request>"
    assert "flac" == client.put(f"/template/{template}", update).text(
        "Template/VoiceSeparate/AudioConfig/Codec"
    )
    client.delete(f"/template/{template}")
    assert client.get("/template", ids=f"{template}").xml.find("TemplateList") is None


QUEUE_UPDATE = {"Name": "q2", "State": "Active"}
TEMPLATE = {
    "Tag": "VoiceSeparate",
    "Name": "t",
    "AudioMode": "IsAudio",
    "AudioConfig": {"Codec": "mp3"},
}
JOB = {
    "Tag": "VoiceSeparate",
    "Input": {"Object": "in/a.mp3"},
    "Operation": {
        "VoiceSeparate": {"AudioMode": "IsAudio"},
        "Output": {"Region": REGION, "Bucket": BUCKET, "AuObject": "v.${ext}"},
    },
}
CALLS: Mapping[str, tuple[str, str, Mapping[str, Any] | None]] = {
    "create_jobs": ("POST", "/jobs", JOB),
    "get_jobs": ("GET", "/jobs/{job}", None),
    "get_waveforms": ("GET", "/jobs/{job}/waveform", None),
    "list_jobs": ("GET", "/jobs?tag=VoiceSeparate", None),
    "create_template": ("POST", "/template", {**TEMPLATE, "Name": "another"}),
    "update_template": ("PUT", "/template/{template}", {**TEMPLATE, "Name": "changed"}),
    "list_templates": ("GET", "/template", None),
    "delete_template": ("DELETE", "/template/{template}", None),
    "list_asr_queues": ("GET", "/asrqueue", None),
    "list_queues": ("GET", "/queue", None),
    "update_asr_queue": ("PUT", "/asrqueue/{queue}", QUEUE_UPDATE),
    "update_queue": ("PUT", "/queue/{queue}", QUEUE_UPDATE),
    "list_buckets": ("GET", "/asrbucket", None),
    "list_callbacks": ("GET", "/callbacks", None),
    "get_callbacks": ("GET", "/callbacks/{callback}", None),
    "replay_callbacks": ("PUT", "/callbacks/{callback}", None),
    "replay_callbacks_where": ("PUT", "/callbacks", None),
    "cancel_jobs": ("PUT", "/jobs/{waiting}?cancel", None),
    "open_bucket": ("POST", "/asrbucket", None),
    "close_bucket": ("DELETE", "/asrbucket", None),
}
"""A call of each operation of the vendor, and of dead letters, that succeeds, in an order in which all do."""


@pytest.mark.shows("JSON in and out on every operation")
def test_json_in_and_out_on_every_operation(server: ApiServer) -> None:
    """Each operation takes JSON where it takes a body, and answers with JSON of the names that XML has.

    What is beyond the vendor has tests of its own forms.
    """
    client, store = server.client, server.store
    ids = {"job": submit(client, submission(request="<CallBack>http://cb.example/</CallBack>"))}
    claimed = store.attempts.claim("test", (0,))
    assert claimed is not None
    store.attempts.succeed(claimed, job_result(), (Waveform("Mix", 1, "AAA="),))
    delivery = store.outbox.for_job(ids["job"])
    assert delivery is not None
    store.outbox.record(delivery.id, DeliveryAttempt(1, "410", 1), next_due=None, status="dead")
    ids |= {"waiting": submit(client, submission()), "queue": the_queue(client), "callback": delivery.id}
    created = client.post("/template", json.dumps(TEMPLATE), {"Content-Type": "application/json"})
    ids["template"] = json.loads(created.body)["Template"]["TemplateId"]
    answered: dict[str, Any] = {}
    for name, (method, path, body) in CALLS.items():
        target = path.format(**ids)
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        in_xml = client.request(method, target) if method == "GET" else None
        content = b"" if body is None else json.dumps(body).encode()
        answer = client.request(method, target, content, headers)
        assert 200 == answer.status, (name, answer.body)
        if OPERATIONS[name].answer is None:
            assert b"" == answer.body, name
            continue
        assert "application/json" == answer.headers["content-type"], name
        answered[name] = json.loads(answer.body)
        if in_xml is not None:
            assert {child.tag for child in in_xml.xml} <= answered[name].keys(), name
    assert CALLS.keys() <= OPERATIONS.keys()
    assert "changed" == answered["update_template"]["Template"]["Name"]
    assert "q2" == answered["update_queue"]["Queue"]["Name"]
    assert [ids["job"]] == [each["JobId"] for each in answered["get_jobs"]["JobsDetail"]]
    assert store.jobs.get(TENANT, [answered["create_jobs"]["JobsDetail"][0]["JobId"]]) != [None]
    assert CallbackRequest(url="http://cb.example/").url == claimed.spec.callback.url
