"""The whole service as ``stemline up`` starts it, driven by the official Python SDK, with a real receiver."""

from __future__ import annotations

import io
import json
import queue
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
from lxml import etree
from qcloud_cos import CosConfig, CosS3Client

from stemline.testing.processes import eventually
from tests.media import Kind, make, tone

RATE = 44_100


class Receiver:
    """An HTTP server that records the requests."""

    def __init__(self) -> None:
        self.posts: queue.Queue[tuple[str, str, bytes]] = queue.Queue()
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.put((self.path, self.headers["Content-Type"], body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cb"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, timeout_s: float = 60) -> tuple[str, str, bytes]:
        return self.posts.get(timeout=timeout_s)


def sdk_for(where: dict[str, Any]) -> CosS3Client:
    """The official SDK, configured for a stack."""
    host, _, port = where["api"].removeprefix("http://").partition(":")
    config = CosConfig(
        Region=where["region"],
        SecretId=where["secret_id"],
        SecretKey=where["secret_key"],
        Scheme="http",
        IP=host,
        Port=int(port),
        Endpoint=f"ci.{where['region']}.myqcloud.com",
    )
    return CosS3Client(config)


@pytest.fixture
def sdk(where: dict[str, Any]) -> CosS3Client:
    return sdk_for(where)


def s3_for(where: dict[str, Any]) -> Any:
    """A client for the S3 of a stack."""
    access = where["s3"]
    return boto3.client(
        "s3",
        endpoint_url=access["endpoint_url"],
        aws_access_key_id=access["access_key"],
        aws_secret_access_key=access["secret_key"],
        region_name=where["region"],
    )


@pytest.fixture
def s3(where: dict[str, Any]) -> Iterator[Any]:
    client = s3_for(where)
    yield client
    client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.server.shutdown()
    started.server.server_close()


def music(seconds: float = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((tone(round(seconds * RATE)) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def submit(sdk: CosS3Client, where: dict[str, Any], key: str, **root: Any) -> dict[str, Any]:
    output = {
        "Region": where["region"],
        "Bucket": where["bucket"],
        "Object": "out/${jobid}/bg.${ext}",
        "AuObject": "out/${jobid}/voice.${ext}",
    }
    separate = {"AudioMode": "AudioAndBackground", "AudioConfig": {"Codec": "mp3", "Bitrate": "128"}}
    request = {
        "Tag": "VoiceSeparate",
        "Input": {"Object": key},
        "Operation": {"VoiceSeparate": separate, "Output": output, "UserData": "order 17", "JobLevel": "1"},
        **root,
    }
    answer = sdk.ci_create_media_jobs(where["bucket"], request, {}, ContentType="application/xml")
    return answer["JobsDetail"][0]


def ended(sdk: CosS3Client, where: dict[str, Any], job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = sdk.ci_get_media_jobs(where["bucket"], job_id)["JobsDetail"][0]
        return job if job["State"] in {"Success", "Failed", "Cancel"} else None

    return eventually(look, 180, f"the end of {job_id}")


@pytest.mark.parametrize("form", ["XML", "JSON"])
def test_from_submission_to_callback(sdk, s3, where, receiver: Receiver, form: str) -> None:
    """A job submitted with the SDK ends as Success, its stems exist, and the receiver gets the callback."""
    s3.put_object(Bucket=where["bucket"], Key="in/song.wav", Body=music())
    created = submit(sdk, where, "in/song.wav", CallBack=receiver.url, CallBackFormat=form)
    assert ("Submitted", "-") == (created["State"], created["EndTime"])
    job = ended(sdk, where, created["JobId"])
    assert ("Success", "100") == (job["State"], job["Progress"])
    files = job["Operation"]["MediaResult"]["OutputFile"]["ObjectName"]
    assert [f"out/{job['JobId']}/voice.mp3", f"out/{job['JobId']}/bg.mp3"] == files
    for key in files:
        body = s3.get_object(Bucket=where["bucket"], Key=key)["Body"].read()
        assert len(body) > 10_000
    path, kind, body = receiver.next()
    assert "/cb" == path
    if form == "XML":
        assert "application/xml" == kind
        root = etree.fromstring(body)
        received = {name: root.findtext(f"JobsDetail/{name}") for name in ("JobId", "State", "Code")}
        voice = root.findtext("JobsDetail/Operation/Output/AuObject")
        event = root.findtext("EventName")
    else:
        assert "application/json" == kind
        document = json.loads(body)
        detail = document["JobsDetail"][0]
        received = {name: detail[name] for name in ("JobId", "State", "Code")}
        voice, event = detail["Operation"]["Output"]["AuObject"], document["EventName"]
    assert {"JobId": job["JobId"], "State": "Success", "Code": "Success"} == received
    assert files[0] == voice
    assert "TaskFinish" == event


def test_a_paused_queue_keeps_its_jobs(sdk, s3, where) -> None:
    """A job of a paused queue is accepted as Submitted, shown as Pause, and runs after the resume."""
    s3.put_object(Bucket=where["bucket"], Key="in/song.wav", Body=music())
    (queue_,) = sdk.ci_get_asr_queue(where["bucket"])["QueueList"]

    def set_state(state: str) -> None:
        request = {"Name": queue_["Name"], "State": state, "NotifyConfig": {"State": "Off"}}
        sdk.ci_update_asr_queue(where["bucket"], queue_["QueueId"], request, ContentType="application/xml")

    set_state("Paused")
    created = submit(sdk, where, "in/song.wav")
    waiting = sdk.ci_get_media_jobs(where["bucket"], created["JobId"])["JobsDetail"][0]
    set_state("Active")
    assert ["Submitted", "Pause"] == [created["State"], waiting["State"]]
    assert "Success" == ended(sdk, where, created["JobId"])["State"]


def test_failures_are_reported(sdk, s3, where, receiver: Receiver, tmp_path: Path) -> None:
    """A missing object, a text named .mp3 and a video without sound each fail with a message of their own."""
    silent = make(tmp_path / "silent.mp4", Kind("mp4", "aac", video=True), tone(RATE))
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert silent.is_file()
    s3.put_object(Bucket=where["bucket"], Key="in/text.mp3", Body=b"not music at all\n" * 1000)
    s3.put_object(Bucket=where["bucket"], Key="in/mute.mp4", Body=(tmp_path / "mute.mp4").read_bytes())
    errors = {}
    for key in ("in/none.mp3", "in/text.mp3", "in/mute.mp4"):
        created = submit(sdk, where, key, CallBack=receiver.url, CallBackFormat="JSON")
        job = ended(sdk, where, created["JobId"])
        detail = json.loads(receiver.next()[2])["JobsDetail"][0]
        assert ("Failed", job["Code"], job["Message"]) == (detail["State"], detail["Code"], detail["Message"])
        assert "MediaResult" not in detail["Operation"]
        errors[key] = (job["Code"], job["Message"])
    assert "ResourceNotFound" == errors["in/none.mp3"][0]
    assert "InvalidContent" == errors["in/text.mp3"][0] == errors["in/mute.mp4"][0]
    assert 3 == len({message for _, message in errors.values()})


def test_flower_requires_its_password(where) -> None:
    """Flower shows the worker with the password, and nothing without it."""
    flower = where["flower"]
    with httpx.Client(base_url=flower["url"], trust_env=False) as client:
        assert 401 == client.get("/workers").status_code
        page = client.get("/workers", auth=(flower["user"], flower["password"]))
    assert 200 == page.status_code
    assert "separate@local" in page.text
