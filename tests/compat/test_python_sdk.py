"""The vendor's Python SDK (cos-python-sdk-v5), unchanged, in every way it can be pointed at this service.

Each way goes through the whole interoperability checklist of docs/wire/wire.md (annex C).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError
from requests.adapters import HTTPAdapter

from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Credential
from stemline.testing.api_server import ApiServer, finish
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY

VENDOR = f"ci.{REGION}.myqcloud.com"
JOB: dict[str, Any] = {
    "Tag": "VoiceSeparate",
    "Input": {"Object": "in/demo 音频+1.mp4"},
    "Operation": {
        "VoiceSeparate": {
            "AudioMode": "AudioAndBackground",
            "AudioConfig": {"Codec": "mp3", "Samplerate": "44100"},
        },
        "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "o/bg.${ext}", "AuObject": "o/vox.${ext}"},
        "UserData": "hello",
        "JobLevel": "0",
    },
    "CallBack": "http://127.0.0.1:9/cb",
    "CallBackFormat": "JSON",
}
TEMPLATE = {
    "Tag": "VoiceSeparate",
    "Name": "tpl-1",
    "AudioMode": "IsAudio",
    "AudioConfig": {"Codec": "aac", "Bitrate": "128"},
}


@dataclass(frozen=True)
class Form:
    """One way of the SDK to reach the service."""

    config: Callable[[int], dict[str, Any]]
    server: dict[str, Any] = field(default_factory=dict)
    region: str = REGION
    tls: bool = False
    adapter: bool = False
    secret: bool = True


class Redirect(HTTPAdapter):
    """Connects to one address regardless of the URL."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        return self.poolmanager.connection_from_host("127.0.0.1", self.port, "http")

    def add_headers(self, request: Any, **options: Any) -> None:
        request.headers["Host"] = urlsplit(request.url).netloc


TEMPORARY = Credential(secret_id=SECRET_ID, secret_key=SECRET_KEY, token="tok/1+=")
FORMS = {
    "EndpointCi, own suffix": Form(lambda p: {"EndpointCi": f"ci.r.example.test:{p}"}, region="ap-test"),
    "EndpointCi, vendor's name": Form(lambda p: {"EndpointCi": f"{VENDOR}:{p}"}),
    "EndpointCi, .localhost": Form(lambda p: {"EndpointCi": f"localhost:{p}"}),
    "https": Form(lambda p: {"EndpointCi": f"{VENDOR}:{p}", "Scheme": "https"}, tls=True),
    "IP and Port": Form(lambda p: {"IP": "127.0.0.1", "Port": p}),
    "IP, Port and Endpoint": Form(lambda p: {"IP": "127.0.0.1", "Port": p, "Endpoint": VENDOR}),
    "Domain": Form(lambda p: {"Domain": f"127.0.0.1:{p}"}),
    "Domain with a name": Form(lambda p: {"Domain": f"svc.internal:{p}"}),
    "Proxies": Form(lambda p: {"Proxies": {"http": f"http://127.0.0.1:{p}"}}),
    "no override, own session": Form(lambda p: {}, adapter=True),
    "Token": Form(
        lambda p: {"IP": "127.0.0.1", "Port": p, "Token": "tok/1+="}, server={"credentials": (TEMPORARY,)}
    ),
    "SignHost=False": Form(
        lambda p: {"Proxies": {"http": f"http://127.0.0.1:{p}"}, "SignHost": False},
        server={"require_signed_host": False},
    ),
    "SignParams=False": Form(lambda p: {"Domain": f"127.0.0.1:{p}", "SignParams": False}),
    "Anonymous": Form(
        lambda p: {"Domain": f"127.0.0.1:{p}", "Anonymous": True},
        server={"anonymous_access": True},
        secret=False,
    ),
}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private certificate for every bucket of the region."""
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stemline"
    names = f"subjectAltName=DNS:*.{VENDOR},DNS:{VENDOR}"
    command = ["openssl", *words.split(), "-keyout", "tls.key", "-out", "tls.crt", "-addext", names]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "tls.crt", folder / "tls.key"


@dataclass(frozen=True)
class Side:
    """A client of the SDK and the server it talks to."""

    sdk: CosS3Client
    server: ApiServer
    tenant: Tenant


@pytest.fixture(params=FORMS)
def side(
    request: pytest.FixtureRequest,
    serve: Callable[..., ApiServer],
    names: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Side]:
    """The SDK, pointed at a server in one of its ways."""
    form = FORMS[request.param]
    changes, verify = dict(form.server), None
    if form.tls:
        crt, tls_key = request.getfixturevalue("certificate")
        changes |= {"tls_certificate": crt, "tls_key": tls_key}
        verify = str(crt)
    server = serve(**changes)
    values = {"Region": REGION, "Scheme": "http", "VerifySSL": verify} | form.config(server.port)
    if form.secret:
        values |= {"SecretId": SECRET_ID, "SecretKey": SECRET_KEY}
    session = requests.Session()
    session.trust_env = False
    if form.adapter:
        session.mount("http://", Redirect(server.port))
    yield Side(
        CosS3Client(CosConfig(**values), retry=0, session=session), server, Tenant(BUCKET, form.region)
    )
    session.close()


def refused(call: Callable[[], Any]) -> CosServiceError:
    with pytest.raises(CosServiceError) as error:
        call()
    found = error.value
    assert "Unknown" != found.get_error_code()
    for part in (
        found.get_error_msg(),
        found.get_resource_location(),
        found.get_request_id(),
        found.get_trace_id(),
    ):
        assert part
    return found


def detail(sdk: CosS3Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = sdk.ci_get_media_jobs(BUCKET, job)["JobsDetail"][0]
    return found


@pytest.mark.shows(
    "own endpoint suffix, fixed names, addresses",
    "bodies without Content-Type, empty elements, Content-MD5",
    "https",
    "cos-python-sdk-v5 1.9.44",
)
def test_checklist(side: Side) -> None:
    """All calls of the SDK that this job type knows succeed, and their results read as documented."""
    open_and_queue(side)
    submit_in_all_variants(side)
    poll(side)
    pause_and_cancel(side)
    lists(side)
    unknown_ids(side)
    templates(side)
    errors(side)
    close(side)


def open_and_queue(side: Side) -> None:
    """Service switch and queue listing, before anything else is there."""
    headers, opened = side.sdk.ci_open_asr_bucket(BUCKET)
    assert "application/xml" == headers["Content-Type"]
    assert (BUCKET, side.tenant.region) == (opened["AsrBucket"]["BucketId"], opened["AsrBucket"]["Region"])
    listed = side.sdk.ci_get_asr_bucket(Regions=side.tenant.region, BucketNames=BUCKET)
    assert "1" == listed["TotalCount"]
    for queues in (side.sdk.ci_get_asr_queue(BUCKET), side.sdk.ci_get_media_queue(BUCKET)):
        assert "1" == queues["TotalCount"]
        assert ["queue-speech-1"] == [queue["Name"] for queue in queues["QueueList"]]


def submit_in_all_variants(side: Side) -> None:
    """With and without Content-Type, empty elements, both kinds of parameters, surplus names."""
    made = side.sdk.ci_create_media_jobs(BUCKET, JOB)["JobsDetail"]
    assert ["Submitted"] == [job["State"] for job in made]
    stored = side.server.store.jobs.find(made[0]["JobId"])
    assert stored is not None
    assert (side.tenant, "in/demo 音频+1.mp4") == (stored.spec.tenant, stored.spec.input_object)
    template = side.sdk.ci_create_template(BUCKET, TEMPLATE)["Template"]["TemplateId"]
    operation = JOB["Operation"]
    variants = [
        JOB | {"CallBack": None, "CallBackFormat": None, "QueueId": None},
        JOB | {"Operation": operation | {"TemplateId": template}},
        JOB | {"Operation": operation | {"TemplateId": None, "UserData": None}},
        JOB | {"Operation": operation | {"VoiceSeparate": {"AudioMode": "IsAudio", "AudioConfig": {}}}},
    ]
    for variant in variants:
        answer = side.sdk.ci_create_media_jobs(BUCKET, variant, ContentType="application/xml")
        job = answer["JobsDetail"][0]
        assert "Submitted" == job["State"]
        assert (template == job["Operation"].get("TemplateId")) is ("VoiceSeparate" not in job["Operation"])
    two = side.sdk.ci_create_media_jobs(
        BUCKET, JOB | {"Operation": [operation, operation | {"JobLevel": "2"}]}
    )
    assert ["0", "2"] == [job["Operation"]["JobLevel"] for job in two["JobsDetail"]]
    side.sdk.ci_delete_template(BUCKET, template)
    waiting = [
        job["JobId"] for job in side.sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", Size=100)["JobsDetail"]
    ]
    assert "" == side.sdk.ci_cancel_jobs(BUCKET, ",".join(waiting))


def poll(side: Side) -> None:
    """Submitted, Running, Success; the media elements come with the end, the times turn from ``-``."""
    job = side.sdk.ci_create_media_jobs(BUCKET, JOB)["JobsDetail"][0]["JobId"]
    first = detail(side.sdk, job)
    assert ("Submitted", "-", "-") == (first["State"], first["StartTime"], first["EndTime"])
    assert {"MediaInfo", "MediaResult"}.isdisjoint(first["Operation"])
    finish(side.server.store, job)
    last = detail(side.sdk, job)
    assert ("Success", "Success", None) == (last["State"], last["Code"], last["Message"])
    assert "-" not in (last["StartTime"], last["EndTime"])
    assert ["o/vox.mp3", "o/bg.mp3"] == last["Operation"]["MediaResult"]["OutputFile"]["ObjectName"]
    assert 2 == len(last["Operation"]["MediaInfo"]["Stream"]["Audio"])


def pause_and_cancel(side: Side) -> None:
    """A paused queue turns waiting jobs to Pause and lets running ones run; both can be had back."""
    sdk, store = side.sdk, side.server.store
    running, waiting, doomed = (
        sdk.ci_create_media_jobs(BUCKET, JOB)["JobsDetail"][0]["JobId"] for _ in range(3)
    )
    claimed = store.attempts.claim("test", (0,))
    assert claimed is not None
    queue = sdk.ci_get_asr_queue(BUCKET)["QueueList"][0]
    notify = {"State": "On", "Event": "TaskFinish", "Type": "Url", "Url": "http://127.0.0.1:9/q"}
    paused = {"Name": "q-1", "QueueID": queue["QueueId"], "State": "Paused", "NotifyConfig": notify}
    for update in (sdk.ci_update_asr_queue, sdk.ci_update_media_queue):
        changed = update(BUCKET, queue["QueueId"], paused)["Queue"]
        changed = changed[0] if isinstance(changed, list) else changed
        assert ("Paused", "q-1", "On") == (
            changed["State"],
            changed["Name"],
            changed["NotifyConfig"]["State"],
        )
    states = [detail(sdk, job)["State"] for job in (running, waiting, doomed)]
    assert ["Running", "Pause", "Pause"] == states
    assert "" == sdk.ci_cancel_jobs(BUCKET, doomed)
    assert "Cancel" == detail(sdk, doomed)["State"]
    sdk.ci_update_asr_queue(BUCKET, queue["QueueId"], {"Name": "q-1", "State": "Active"})
    assert "Submitted" == detail(sdk, waiting)["State"]
    found = store.jobs.find(running)
    assert found is not None
    assert State.RUNNING is found.state
    assert [] == sdk.ci_get_asr_queue(BUCKET, State="Paused").get("QueueList", [])
    sdk.ci_cancel_jobs(BUCKET, waiting)
    store.attempts.fail(claimed, "ResourceNotFound", "The input object does not exist")
    failed = detail(sdk, running)
    assert ("Failed", "ResourceNotFound") == (failed["State"], failed["Code"])


def lists(side: Side) -> None:
    """Every filter the SDK knows, pages of one until the token is empty, and an empty result."""
    sdk = side.sdk
    everything = sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", Size=100)
    ids = [job["JobId"] for job in everything["JobsDetail"]]
    assert everything["NextToken"] is None
    queue = everything["JobsDetail"][0]["QueueId"]
    span = {"StartCreationTime": "2020-01-01T00:00:00+0800", "EndCreationTime": "2099-01-01T00:00:00+0800"}
    same = sdk.ci_list_media_jobs(
        BUCKET, "VoiceSeparate", queue, OrderByTime="Asc", States="All", Size=100, **span
    )
    assert ids[::-1] == [job["JobId"] for job in same["JobsDetail"]]
    chosen = sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", States="Success,Failed", Size=100)["JobsDetail"]
    assert {"Success", "Failed"} == {job["State"] for job in chosen}
    seen: list[str] = []
    token = ""
    while len(seen) <= len(ids):
        page = sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", Size=1, NextToken=token)
        seen += [job["JobId"] for job in page["JobsDetail"]]
        token = page["NextToken"] or ""
        if not token:
            break
    assert ids == seen
    assert [] == sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", "p-unknown")["JobsDetail"]


def unknown_ids(side: Side) -> None:
    """A known and an unknown id: one detail, one NonExistJobIds."""
    job = side.sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", Size=1)["JobsDetail"][0]["JobId"]
    missing = "j" + "0" * 32
    answer = side.sdk.ci_get_media_jobs(BUCKET, f"{job},{missing}")
    assert ([job], missing) == ([found["JobId"] for found in answer["JobsDetail"]], answer["NonExistJobIds"])


def templates(side: Side) -> None:
    """Create, duplicate name, update without AudioConfig, query by ids, delete, delete again."""
    sdk = side.sdk
    template = sdk.ci_create_template(BUCKET, TEMPLATE)["Template"]["TemplateId"]
    assert (
        "TemplateNameDuplicate" == refused(lambda: sdk.ci_create_template(BUCKET, TEMPLATE)).get_error_code()
    )
    partial = {"Tag": "VoiceSeparate", "Name": "tpl-2", "AudioMode": "IsBackground"}
    updated = sdk.ci_update_template(BUCKET, template, partial)["Template"]
    kept = updated["VoiceSeparate"]
    assert ("tpl-2", "IsBackground", "128") == (
        updated["Name"],
        kept["AudioMode"],
        kept["AudioConfig"]["Bitrate"],
    )
    found = sdk.ci_get_template(BUCKET, Ids=f"{template},t1x")
    assert [template] == [item["TemplateId"] for item in found["TemplateList"]]
    assert "t1x" == found["NonExistTIDs"]["TemplateId"]
    assert ["tpl-2"] == [item["Name"] for item in sdk.ci_get_template(BUCKET, Name="tpl")["TemplateList"]]
    assert template == sdk.ci_delete_template(BUCKET, template)["TemplateId"]
    again = refused(lambda: sdk.ci_delete_template(BUCKET, template))
    assert ("TemplateNotFound", 404) == (again.get_error_code(), again.get_status_code())
    assert "TemplateList" not in sdk.ci_get_template(BUCKET, Ids=template)


def errors(side: Side) -> None:
    """Each refusal reads as its own code."""
    sdk = side.sdk
    bad = [
        ("InvalidArgument", 400, lambda: sdk.ci_create_media_jobs(BUCKET, JOB | {"Tag": "Transcode"})),
        ("QueueNotFound", 400, lambda: sdk.ci_create_media_jobs(BUCKET, JOB | {"QueueId": "p0"})),
        ("QueueNotFound", 404, lambda: sdk.ci_update_asr_queue(BUCKET, "p0", {"State": "Paused"})),
        ("InvalidArgument", 400, lambda: sdk.ci_cancel_jobs(BUCKET, "j0")),
        ("InvalidArgument", 400, lambda: sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate", Size=101)),
    ]
    for code, status, call in bad:
        error = refused(call)
        assert (code, status) == (error.get_error_code(), error.get_status_code())


def close(side: Side) -> None:
    """Closing the service answers with the bucket's name, parsed."""
    _, closed = side.sdk.ci_close_asr_bucket(BUCKET)
    assert BUCKET == closed["BucketName"]


def test_anonymous_is_refused(serve: Callable[..., ApiServer]) -> None:
    """The SDK's empty Authorization header is no way in."""
    config = CosConfig(Region=REGION, Scheme="http", Domain=f"127.0.0.1:{serve().port}", Anonymous=True)
    with requests.Session() as session:
        error = refused(lambda: CosS3Client(config, retry=0, session=session).ci_get_media_jobs(BUCKET, "j1"))
    assert ("AccessDenied", 403) == (error.get_error_code(), error.get_status_code())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SecretKey": "wrong"}, "SignatureDoesNotMatch"),
        ({"SecretId": "nobody"}, "InvalidAccessKeyId"),
    ],
)
def test_wrong_keys(serve: Callable[..., ApiServer], changes: dict[str, str], code: str) -> None:
    """Wrong keys read as their own codes."""
    keys = {"SecretId": SECRET_ID, "SecretKey": SECRET_KEY} | changes
    config = CosConfig(Region=REGION, Scheme="http", Domain=f"127.0.0.1:{serve().port}", **keys)
    with requests.Session() as session:
        error = refused(lambda: CosS3Client(config, retry=0, session=session).ci_get_media_jobs(BUCKET, "j1"))
    assert (code, 403) == (error.get_error_code(), error.get_status_code())


def test_wrong_token(serve: Callable[..., ApiServer]) -> None:
    """A temporary key without its token is refused."""
    port = serve(credentials=(TEMPORARY,)).port
    config = CosConfig(
        Region=REGION, Scheme="http", Domain=f"127.0.0.1:{port}", SecretId=SECRET_ID, SecretKey=SECRET_KEY
    )
    with requests.Session() as session:
        error = refused(lambda: CosS3Client(config, retry=0, session=session).ci_get_media_jobs(BUCKET, "j1"))
    assert "AccessDenied" == error.get_error_code()


def test_retries(serve: Callable[..., ApiServer]) -> None:
    """A full queue makes the SDK try again by itself; once there is room the job is there, once."""
    server = serve(queue_max_size=1)
    config = CosConfig(
        Region=REGION,
        Scheme="http",
        Domain=f"127.0.0.1:{server.port}",
        SecretId=SECRET_ID,
        SecretKey=SECRET_KEY,
    )
    with requests.Session() as session:
        sdk = CosS3Client(config, retry=2, session=session)
        first = sdk.ci_create_media_jobs(BUCKET, JOB)["JobsDetail"][0]["JobId"]
        refusals: list[int] = []

        def make_room(response: requests.Response, **_: Any) -> None:
            if response.status_code == 503:
                refusals.append(response.status_code)
                server.client.put(f"/jobs/{first}")

        session.hooks["response"].append(make_room)
        second = sdk.ci_create_media_jobs(BUCKET, JOB)["JobsDetail"][0]["JobId"]
        assert [503] == refusals
        listed = sdk.ci_list_media_jobs(BUCKET, "VoiceSeparate")["JobsDetail"]
    assert [(second, "Submitted"), (first, "Cancel")] == [(job["JobId"], job["State"]) for job in listed]
