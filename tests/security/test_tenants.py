"""Attacks by clients with a credential: on other tenants, on limits, on the servers behind the service."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from stemline.api.admission import OPERATIONS
from stemline.api.credentials import Principals
from stemline.jobs.callback import is_reserved_mq_name
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.policy import Operation
from stemline.jobs.store import BucketFilter, QueueFilter, delivery_id
from stemline.jobs.tenant import Tenant
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.settings import BucketAccess, Credential
from stemline.runtime.store import store_options
from stemline.storage.clients import MAX_CLIENTS, BucketNotConfigured, Clients
from stemline.testing import InMemoryStore
from stemline.testing.api_server import CREDENTIAL, TENANT, ApiServer, api_settings, finish
from stemline.testing.client import BUCKET, REGION, SECRET_KEY, Answer, Client
from stemline.workers.app import create_app

pytestmark = pytest.mark.slow

Serve = Callable[..., ApiServer]
QUEUE_URL = "https://bob:hush-hush@cb.example.com/hooks/hush-0-and-more?token=hush-2&plain#hush-3"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts API servers with a store in memory: ``serve(rules=...)`` adds a credential with rules."""
    with ExitStack() as stack:

        def start(**changes: Any) -> ApiServer:
            rules = changes.pop("rules", {})
            limited = Credential(secret_id="AKIDLIMITED", secret_key=SECRET_KEY, **rules)
            settings = api_settings(credentials=(CREDENTIAL, limited), **changes)
            return stack.enter_context(ApiServer(settings, InMemoryStore(store_options(settings))))

        yield start


@pytest.fixture(scope="module")
def untouched() -> Iterator[ApiServer]:
    """One server for all requests that must be refused: its store stays empty."""
    endpoints = {"*": "http://mq.example", "own": "http://own.example"}
    settings = api_settings(credentials=(CREDENTIAL,), key_prefix="custom", tdmq_endpoints=endpoints)
    with ApiServer(settings, InMemoryStore(store_options(settings))) as server:
        yield server


def limited(server: ApiServer, **changes: Any) -> Client:
    return dataclasses.replace(server.client, secret_id="AKIDLIMITED", **changes)


def host(bucket: str, region: str) -> str:
    return f"{bucket}.ci.{region}.myqcloud.com"


def tenants(server: ApiServer) -> list[Tenant]:
    return [bucket.tenant for bucket in server.store.tenants.search(BucketFilter(size=1000)).items]


def queue_id(server: ApiServer) -> str:
    return server.client.get("/queue").text("QueueList/QueueId") or ""


def put(client: Client, path: str, fields: Mapping[str, Any], form: str = "xml") -> Answer:
    """Send fields as XML or JSON; the answer is XML."""
    return send(client, "PUT", path, fields, form)


def send(client: Client, method: str, path: str, fields: Mapping[str, Any], form: str) -> Answer:
    if form == "json":
        headers = {"content-type": "application/json", "accept": "application/xml"}
        return client.request(method, path, json.dumps(fields).encode(), headers)
    return client.request(method, path, f"<Request>{xml(fields)}</Request>".encode())


def xml(fields: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{xml(value) if isinstance(value, dict) else value.replace('&', '&amp;')}</{name}>"
        for name, value in fields.items()
    )


def job(**changes: Any) -> dict[str, Any]:
    output = {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/voice.mp3", **changes.pop("output", {})}
    return {
        "Tag": "VoiceSeparate",
        "Input": {"Object": "in/song.mp3"},
        "Operation": {"VoiceSeparate": {"AudioMode": "IsAudio"}, "Output": output},
        **changes,
    }


TEMPLATE = {"Tag": "VoiceSeparate", "Name": "t", "AudioMode": "IsAudio"}
FORMS = pytest.mark.parametrize("form", ["xml", "json"])


# -- regions and tenants


HOSTS = ("ap-foreign", "evil-example-com", "a" * 40, "127-0-0-1")


@pytest.mark.parametrize("region", HOSTS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_no_request_goes_to_a_region_that_is_not_listed(
    untouched: ApiServer, region: str, method: str
) -> None:
    """A Host of a region that the settings do not list is InvalidHost, whatever is asked."""
    for path in ("/queue", "/jobs", "/jobs/j0", "/template", "/asrbucket", "/callbacks"):
        answer = Client(untouched.port, host(BUCKET, region)).request(method, path)
        assert answer.code in {"InvalidHost", "MethodNotAllowed", "NoSuchResource"}, path
    assert tenants(untouched) == []


REGIONS = (
    "ap-foreign",
    "x@127.0.0.1:9/#",
    "127.0.0.1:9/",
    "ap-chongqing.evil.example",
    "AP-CHONGQING",
    "ap-chongqing/../x",
    "ap-chongqing\\",
    "*",
    "{region}",
    "ap-chongqing%2f",
    "ap-chongqing?",
    "\uff41\uff50-chongqing",
)


@FORMS
@pytest.mark.parametrize("region", REGIONS)
def test_the_region_of_an_output_is_listed(untouched: ApiServer, region: str, form: str) -> None:
    """An Output.Region that the settings do not list is refused, and nothing is stored."""
    answer = send(untouched.client, "POST", "/jobs", job(output={"Region": region}), form)
    assert (400, "InvalidArgument") == (answer.status, answer.code)
    assert tenants(untouched) == []


BUCKETS = (
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01234567890123456/accesspoint/evil",
    "x--usw2-az1--x-s3",
    "evil.attacker.example",
    "../media-1250000000",
    "m" * 1_000_000,
)


@FORMS
@pytest.mark.parametrize("bucket", BUCKETS, ids=range(len(BUCKETS)))
def test_the_bucket_of_an_output_is_a_name(untouched: ApiServer, bucket: str, form: str) -> None:
    """An Output.Bucket that S3 would reach at another server, or a long one, is refused."""
    answer = send(untouched.client, "POST", "/jobs", job(output={"Bucket": bucket}), form)
    assert (400, "InvalidArgument") == (answer.status, answer.code)
    assert len(answer.body) < 1000
    assert tenants(untouched) == []


@pytest.mark.parametrize("region", REGIONS)
def test_no_client_is_made_for_a_region_that_is_not_listed(region: str) -> None:
    """A job that names such a region, from whatever time, gives no endpoint that it chooses."""
    clients = Clients(buckets_at("http://s3.{region}.example"), {REGION})
    with pytest.raises(BucketNotConfigured):
        clients.for_bucket(region, BUCKET)


def buckets_at(endpoint_url: str) -> Any:
    access = BucketAccess(endpoint_url=endpoint_url, access_key="k", secret_key="s")
    return CredentialFiles.of(api_settings(buckets={"*": access})).buckets


def test_clients_of_buckets_are_bounded() -> None:
    """However many regions are used, no more than MAX_CLIENTS clients stay, and those in use are kept."""
    regions = [f"ap-{number}" for number in range(MAX_CLIENTS + 5)]
    clients = Clients(buckets_at("http://s3.{region}.example"), regions)
    first = clients.for_bucket(regions[0], BUCKET).s3
    for region in regions[1:]:
        clients.for_bucket(region, BUCKET)
        assert clients.for_bucket(regions[0], BUCKET).s3 is first
    assert len(clients._clients) == MAX_CLIENTS


def test_threads_that_share_clients_get_one_for_each_region() -> None:
    """With more regions than clients are kept, each thread gets a working client of its region."""
    regions = [f"ap-{number}" for number in range(MAX_CLIENTS + 4)]
    clients = Clients(buckets_at("http://s3.{region}.example"), regions)

    def use(number: int) -> bool:
        region = regions[number % len(regions)]
        found = clients.for_bucket(region, BUCKET)
        url = found.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})
        return bool(url.startswith(f"http://s3.{region}.example/"))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(2 * len(regions))))
    assert len(clients._clients) == MAX_CLIENTS


@pytest.mark.parametrize(
    "path", ["/queue", "/asrqueue", "/jobs?tag=VoiceSeparate", "/template", "/asrbucket"]
)
def test_reading_opens_no_tenant(serve: Serve, path: str) -> None:
    """GETs for 50 buckets leave no tenant, neither with a credential that only reads nor with another."""
    server = serve(rules={"read_only": True})
    for number in range(50):
        for client in (limited(server), server.client):
            answer = dataclasses.replace(client, host=host(f"b-{number}", REGION)).request("GET", path)
            assert 200 == answer.status
    assert tenants(server) == []


def test_the_queue_that_is_shown_is_the_one_that_is_made(serve: Serve) -> None:
    """A client that looks first may name the queue it saw in its first job or change."""
    for first in ("job", "change"):
        server = serve()
        queue = queue_id(server)
        if first == "job":
            answer = send(server.client, "POST", "/jobs", job(QueueId=queue), "xml")
            assert queue == answer.text("JobsDetail/QueueId")
        else:
            assert "Paused" == put(server.client, f"/queue/{queue}", {"State": "Paused"}).text("Queue/State")
        assert [TENANT] == tenants(server)
        assert queue == queue_id(server)


@pytest.mark.parametrize("way", ["job", "template", "queue", "switch"])
def test_every_way_to_open_a_tenant_is_limited(serve: Serve, way: str) -> None:
    """The third bucket of a region that may have two is refused, whatever would open it."""
    server = serve(buckets_per_region=2)

    def attempt(number: int) -> Answer:
        client = dataclasses.replace(server.client, host=host(f"b-{number}", REGION))
        if way == "job":
            return send(client, "POST", "/jobs", job(), "xml")
        if way == "template":
            return send(client, "POST", "/template", TEMPLATE, "xml")
        if way == "queue":
            return put(
                client, f"/queue/{client.get('/queue').text('QueueList/QueueId')}", {"State": "Paused"}
            )
        return client.request("POST", "/asrbucket")

    assert [200, 200] == [attempt(number).status for number in range(2)]
    answer = attempt(3)
    assert (400, "BindedBucketNumLimit") == (answer.status, answer.code)
    assert 2 == len(tenants(server))


def test_a_change_of_the_queue_does_not_open_a_closed_bucket(serve: Serve) -> None:
    """A bucket that was closed keeps its queue, which can be paused, and stays closed."""
    server = serve()
    assert 200 == server.client.request("POST", "/asrbucket").status
    assert 200 == server.client.delete("/asrbucket").status
    assert 200 == put(server.client, f"/queue/{queue_id(server)}", {"State": "Paused"}).status
    assert tenants(server) == []


@pytest.mark.parametrize(
    "way", ["job", "dry run", "check", "batch", "template", "retry", "retry all", "queue"]
)
def test_who_may_not_open_a_bucket_does_not_open_a_closed_one(serve: Serve, way: str) -> None:
    """A bucket that its operator has closed is opened by no submission, whoever sends it."""
    server = serve(rules={"operations": ("read", "submit", "templates", "queues")})
    client, queue = limited(server), queue_id(server)
    first = send(client, "POST", "/jobs", job(), "xml").text("JobsDetail/JobId") or ""
    assert 200 == server.client.put(f"/jobs/{first}").status
    assert 200 == server.client.delete("/asrbucket").status
    batch = {"Name": "b", **job(output={"AuObject": "out/${jobid}"})}
    del batch["Input"]
    lines = json.dumps(batch) + '\n{"Object": "in/song.mp3"}\n'
    ways: Mapping[str, Callable[[], Answer]] = {
        "job": lambda: send(client, "POST", "/jobs", job(), "xml"),
        "dry run": lambda: send(client, "POST", "/jobs?dryRun=true&probe=false", job(), "xml"),
        "check": lambda: send(client, "POST", "/console/check", job(), "xml"),
        "batch": lambda: client.post("/batches", lines, {"content-type": "application/x-ndjson"}),
        "template": lambda: send(client, "POST", "/template", TEMPLATE, "xml"),
        "retry": lambda: client.post(f"/jobs/{first}/retry", ""),
        "retry all": lambda: client.post("/bulk/jobs/retry", ""),
        "queue": lambda: put(client, f"/queue/{queue}", {"State": "Paused"}),
    }
    answer = ways[way]()
    expected = (200, "") if way == "queue" else (400, "AsrBucketUnBinded")
    assert expected == (answer.status, answer.code)
    assert tenants(server) == []
    assert 200 == server.client.post("/asrbucket", "").status
    assert 200 == ways[way]().status


# -- policies


def requests(server: ApiServer) -> dict[str, tuple[str, str, Mapping[str, Any] | None]]:
    """One request for each operation that changes something, by the name of its route."""
    none = "0" * 32
    return {
        "create_jobs": ("POST", "/jobs", job()),
        "console_check": ("POST", "/console/check", job()),
        "retry_jobs": ("POST", f"/jobs/j{none}/retry", None),
        "cancel_jobs_where": ("POST", "/bulk/jobs/cancel", None),
        "retry_jobs_where": ("POST", "/bulk/jobs/retry", None),
        "send_callbacks_where": ("POST", "/bulk/callbacks/send", None),
        "create_batch": ("POST", "/batches", job()),
        "retry_batch": ("POST", f"/batches/b{none}/retry", None),
        "pause_batch": ("POST", f"/batches/b{none}/pause", None),
        "resume_batch": ("POST", f"/batches/b{none}/resume", None),
        "cancel_batch": ("POST", f"/batches/b{none}/cancel", None),
        "cancel_jobs": ("PUT", f"/jobs/j{none}?cancel", None),
        "update_queue": ("PUT", f"/queue/{queue_id(server)}", {"State": "Active"}),
        "update_asr_queue": ("PUT", f"/asrqueue/{queue_id(server)}", {"State": "Active"}),
        "create_template": ("POST", "/template", TEMPLATE),
        "update_template": ("PUT", f"/template/t1{none}", TEMPLATE),
        "delete_template": ("DELETE", f"/template/t1{none}", None),
        "open_bucket": ("POST", "/asrbucket", None),
        "close_bucket": ("DELETE", "/asrbucket", None),
        "send_callbacks": ("POST", f"/callbacks/d{none}/send", None),
        "replay_callbacks": ("PUT", f"/callbacks/d{none}", None),
        "replay_callbacks_where": ("PUT", "/callbacks", None),
        "create_upload": ("POST", "/uploads", None),
        "resume_upload": ("PUT", "/uploads", None),
        "complete_upload": ("POST", "/uploads/complete", None),
        "abort_upload": ("DELETE", "/uploads", None),
    }


READS = (
    "/jobs?tag=VoiceSeparate",
    "/jobs/j0",
    "/queue",
    "/asrqueue",
    "/template",
    "/asrbucket",
    "/callbacks",
    "/events",
    "/batches",
    "/usage",
)
RULES: Mapping[str, Mapping[str, Any]] = {
    **{f"only {one}": {"operations": (one,)} for one in Operation},
    **{f"all but {one}": {"operations": tuple(set(Operation) - {one})} for one in Operation},
    "read-only": {"read_only": True},
    "read-only, but submit": {"read_only": True, "operations": ("submit",)},
    "another bucket": {"buckets": ("other-*",)},
    "another region": {"regions": ("eu-*",)},
}


@FORMS
@pytest.mark.parametrize("rules", RULES)
def test_every_operation_under_every_rule(serve: Serve, rules: str, form: str) -> None:
    """A request is AccessDenied exactly if a rule of its credential says so; then it changes nothing."""
    server = serve(rules=RULES[rules])
    policy = server_policy(server)
    attempts = requests(server)
    assert set(OPERATIONS) == set(attempts)
    for name, (method, path, fields) in attempts.items():
        answer = send(limited(server), method, path, fields or {}, form)
        allowed = policy.allows(OPERATIONS[name]) and policy.allows_bucket(BUCKET, REGION)
        assert allowed == (answer.code != "AccessDenied"), (name, answer.code)
    reads = policy.allows(Operation.READ) and policy.allows_bucket(BUCKET, REGION)
    for path in READS:
        assert reads == (limited(server).request("GET", path).status == 200), path
    if not (policy.operations - {Operation.READ}) or not policy.allows_bucket(BUCKET, REGION):
        assert tenants(server) == []


def server_policy(server: ApiServer) -> Any:
    found = Principals(CredentialFiles.of(server.settings).key_pairs, server.settings).lookup("AKIDLIMITED")
    assert found is not None
    return found.policy


@FORMS
def test_a_job_writes_to_allowed_buckets_and_regions_alone(serve: Serve, form: str) -> None:
    """The destination of a job follows the same rules as its tenant."""
    server = serve(rules={"buckets": ("media-*",), "regions": (REGION,)})
    for output in ({"Bucket": "other-1250000000"}, {"Region": "ap-beijing"}):
        assert "AccessDenied" == send(limited(server), "POST", "/jobs", job(output=output), form).code
        assert 200 == send(server.client, "POST", "/jobs", job(output=output), form).status


def test_a_list_of_buckets_shows_allowed_ones(serve: Serve) -> None:
    """Buckets and regions that a credential may not use are not in its list, whatever it asks for."""
    server = serve(rules={"buckets": ("media-*",), "regions": (REGION,)})
    for bucket, region in itertools.product(("media-1", "other-1"), (REGION, "ap-beijing")):
        server.store.tenants.open(Tenant(bucket, region))
    client = limited(server, host=f"ci.{REGION}.myqcloud.com")
    for query in ("", "?regions=ap-beijing,All", "?bucketNames=other-1,media-1", "?bucketName=-1"):
        answer = client.request("GET", f"/asrbucket{query}")
        assert answer.texts("AsrBucketList/BucketId") in (["media-1"], []), query
        assert set(answer.texts("AsrBucketList/Region")) <= {REGION}


@FORMS
def test_queues_by_name(serve: Serve, form: str) -> None:
    """A queue outside the policy is neither used nor changed nor shown, nor is one renamed out of it."""
    server = serve(rules={"queues": ("batch-*",)})
    queue, client = queue_id(server), limited(server)
    for fields in (job(), job(QueueId=queue)):
        assert "AccessDenied" == send(client, "POST", "/jobs", fields, form).code
    assert "AccessDenied" == put(client, f"/queue/{queue}", {"State": "Paused"}, form).code
    assert ["0"] == client.get("/queue").texts("TotalCount")
    assert 200 == put(server.client, f"/queue/{queue}", {"Name": "batch-1"}, form).status
    assert 200 == send(client, "POST", "/jobs", job(QueueId=queue), form).status
    assert "AccessDenied" == put(client, f"/queue/{queue}", {"Name": "main"}, form).code
    assert 200 == put(client, f"/queue/{queue}", {"Name": "batch-2"}, form).status


def test_jobs_by_queue(serve: Serve) -> None:
    """Jobs of a queue outside the policy are neither cancelled nor retried, one by one or by a filter."""
    server = serve(rules={"queues": ("batch-*",)})
    queue, client = queue_id(server), limited(server)
    ended, waiting = (
        send(server.client, "POST", "/jobs", job(), "xml").text("JobsDetail/JobId") for _ in range(2)
    )
    assert 200 == server.client.request("PUT", f"/jobs/{ended}?cancel").status
    requests = [
        ("PUT", f"/jobs/{waiting}?cancel"),
        ("POST", f"/jobs/{ended}/retry"),
        *(
            ("POST", f"/bulk/jobs/{verb}?{which}")
            for verb in ("cancel", "retry")
            for which in ("", f"queueId={queue}")
        ),
    ]
    for method, target in requests:
        assert "AccessDenied" == client.request(method, target).code, target
    assert "Submitted" == client.get(f"/jobs/{waiting}").text("JobsDetail/State")
    assert 200 == put(server.client, f"/queue/{queue}", {"Name": "batch-1"}).status
    for method, target in requests:
        assert 200 == client.request(method, target).status, target


def announced(target: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A job and the change of a queue that both name a message queue."""
    notify = {"State": "On", "Event": "TaskFinish", "Type": "TDMQ", **target}
    return job(CallBackType="TDMQ", CallBackMqConfig=target), {"NotifyConfig": notify}


@FORMS
def test_message_queues_by_region_and_name(serve: Serve, form: str) -> None:
    """Targets outside the policy are refused in jobs and in queues, also while notifications are off."""
    server = serve(rules={"mq_regions": ("gz",), "mq_names": ("voice-*",)})
    queue, client = queue_id(server), limited(server)
    good = {"MqRegion": "gz", "MqMode": "Queue", "MqName": "voice-done"}
    for change in ({"MqRegion": "sh"}, {"MqName": "other"}):
        submitted, changed = announced({**good, **change})
        off = {"NotifyConfig": {**changed["NotifyConfig"], "State": "Off"}}
        assert "AccessDenied" == send(client, "POST", "/jobs", submitted, form).code
        assert "AccessDenied" == put(client, f"/queue/{queue}", changed, form).code
        assert "AccessDenied" == put(client, f"/queue/{queue}", off, form).code
    submitted, changed = announced(good)
    assert 200 == send(client, "POST", "/jobs", submitted, form).status
    assert 200 == put(client, f"/queue/{queue}", changed, form).status


RESERVED = (
    *("unacked", "unacked_index", "unacked_mutex", "Unacked_Index", "_kombu.binding.celery", "celery"),
    *(
        "celeryev",
        "celeryev.x",
        "celery.pidbox",
        "reply.celery.pidbox",
        "x.pidbox",
        "separate.0",
        "separate.9",
        "Separate.1.htdemucs",
    ),
    *("callbacks", "sweep", "stemline", "stemline:job:x", "amq.direct", "custom", "custom:jobs"),
)


@FORMS
@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("mode", ["Queue", "Topic"])
def test_names_of_our_own_keys_are_reserved(untouched: ApiServer, name: str, mode: str, form: str) -> None:
    """No client writes to a queue or key of the service, in jobs and in queues, whatever its policy."""
    submitted, changed = announced({"MqRegion": "gz", "MqMode": mode, "MqName": name})
    assert "InvalidArgument" == send(untouched.client, "POST", "/jobs", submitted, form).code
    queue = queue_id(untouched)
    assert "InvalidArgument" == put(untouched.client, f"/queue/{queue}", changed, form).code
    off = {"NotifyConfig": {"State": "Off", "MqName": name}}
    assert "InvalidArgument" == put(untouched.client, f"/queue/{queue}", off, form).code


def test_every_queue_of_the_broker_is_reserved() -> None:
    """The names of Celery's queues are among those that a client may not use."""
    app = create_app(api_settings())
    names = [text for queue in app.conf.task_queues for text in (queue.name, queue.exchange.name)]
    assert {"callbacks", "sweep"} <= {*names}
    assert all(map(is_reserved_mq_name, names))
    assert not is_reserved_mq_name("voice-done")


@pytest.mark.parametrize("region", ["*", "", "xx", "gz@evil.example", "gz/../x"])
def test_the_region_of_a_message_queue_is_listed(untouched: ApiServer, region: str) -> None:
    """MqRegion is one of the vendor's or of the settings; the settings' default entry is no region."""
    submitted, changed = announced({"MqRegion": region, "MqMode": "Queue", "MqName": "q"})
    assert "InvalidArgument" == send(untouched.client, "POST", "/jobs", submitted, "xml").code
    assert "InvalidArgument" == put(untouched.client, f"/queue/{queue_id(untouched)}", changed).code


# -- ceilings and rates


@FORMS
@pytest.mark.parametrize(
    ("rules", "fields", "status"),
    [
        ({}, {"MaxSize": "100000"}, 200),
        ({}, {"MaxSize": "100001"}, 400),
        ({}, {"MaxConcurrent": "100"}, 200),
        ({}, {"MaxConcurrent": "101"}, 400),
        ({}, {"MaxConcurrent": "100000", "MaxSize": "10000000"}, 400),
        ({"max_size": 5}, {"MaxSize": "6"}, 400),
        ({"max_size": 200_000}, {"MaxSize": "200000"}, 200),
        ({"max_concurrent": 2}, {"MaxConcurrent": "3"}, 400),
        ({"max_concurrent": 2}, {"MaxConcurrent": "2"}, 200),
        ({"max_concurrent": 500}, {"MaxConcurrent": "500"}, 200),
    ],
)
def test_ceilings_of_queues(serve: Serve, rules: Any, fields: Any, status: int, form: str) -> None:
    """A tenant raises its limits up to the ceilings of the settings or of its credential, and no further."""
    server = serve(rules=rules)
    answer = put(limited(server), f"/queue/{queue_id(server)}", fields, form)
    assert status == answer.status
    if status == 400:
        assert "InvalidArgument" == answer.code


@pytest.mark.parametrize("way", ["job", "template", "switch"])
def test_a_new_queue_is_below_the_ceilings(serve: Serve, way: str) -> None:
    """A tenant that a credential opens begins with no more than that credential may set."""
    server = serve(rules={"max_size": 3, "max_concurrent": 1})
    path, fields = {
        "job": ("/jobs", job()),
        "template": ("/template", TEMPLATE),
        "switch": ("/asrbucket", {}),
    }[way]
    assert 200 == send(limited(server), "POST", path, fields, "xml").status
    (queue,) = server.store.queues.search(TENANT, QueueFilter()).items
    assert (3, 1) == (queue.max_size, queue.max_concurrent)


def test_a_credential_has_a_rate_of_its_own(serve: Serve) -> None:
    """The rate of a credential applies to it alone, also where the settings have no limit."""
    server = serve(rules={"rate_limit_per_s": 0.001, "rate_limit_burst": 3})
    codes = [limited(server).get("/queue").status for _ in range(5)]
    assert [200, 200, 200, 503, 503] == codes
    assert 200 == server.client.get("/queue").status


# -- secrets in URLs


@pytest.mark.parametrize(
    ("rules", "shown"),
    [({}, True), ({"read_only": True}, False), ({"operations": ("read", "submit")}, False)],
)
def test_secrets_of_a_queue(serve: Serve, rules: Any, shown: bool) -> None:
    """Only who may change a queue sees password, path, the query's values and the fragment of its URL."""
    server = serve(rules=rules)
    queue = queue_id(server)
    notify = {"State": "On", "Event": "TaskFinish", "Type": "Url", "Url": QUEUE_URL}
    assert 200 == put(server.client, f"/queue/{queue}", {"NotifyConfig": notify}).status
    for path, accept in itertools.product(
        ("/queue", "/asrqueue", f"/queue?queueIds={queue}"), ("xml", "json")
    ):
        answer = limited(server).request("GET", path, headers={"accept": f"application/{accept}"})
        assert shown == (b"hush" in answer.body)
        assert (b"cb.example.com/hooks" if shown else b"cb.example.com/***") in answer.body


@pytest.mark.parametrize(("rules", "shown"), [({}, True), ({"read_only": True}, False)])
def test_secrets_of_dead_letters(serve: Serve, rules: Any, shown: bool) -> None:
    """Only who may replay a callback sees the values of its URL, also where the receiver repeats them."""
    server = serve(rules=rules, callback_schedule_s=(0,))
    url = "https://token-hush@cb.example.com/q?key=hush-2"
    made = send(server.client, "POST", "/jobs", job(CallBack=url), "xml").text("JobsDetail/JobId") or ""
    finish(server.store, made)
    text = "Location: /login?session=hush-4\nno such page: /q?key=hush-2; see https://bob:hush-5@x.example/?t=hush-6"
    attempt = DeliveryAttempt(server.store.now(), "302", 1, text)
    server.store.outbox.record(delivery_id(made), attempt, next_due=None, status="dead")
    for path, accept in itertools.product(("/callbacks", f"/callbacks/{made}"), ("xml", "json")):
        answer = limited(server).request("GET", path, headers={"accept": f"application/{accept}"})
        assert (b"cb.example.com/q" if shown else b"cb.example.com/***") in answer.body
        assert shown == (b"hush" in answer.body), path


@pytest.mark.parametrize(
    "url", ["bob:hush@cb.example.com/q", "cb.example.com/q?key=hush", "http:bob:hush@x", "http://[hush"]
)
def test_secrets_of_a_queue_that_is_off(serve: Serve, url: str) -> None:
    """A text that is no URL, which a queue keeps while its notifications are off, is masked whole."""
    server = serve(rules={"read_only": True})
    queue = queue_id(server)
    answer = put(server.client, f"/queue/{queue}", {"NotifyConfig": {"State": "Off", "Url": url}})
    assert 200 == answer.status
    assert b"hush" not in limited(server).get("/queue").body


# -- credentials


@pytest.mark.parametrize(
    "entry",
    [
        {"operation": ["read"]},
        {"operations": ["reed"]},
        {"readonly": True},
        {"max_size": 0},
        {"rate_limit_per_s": -1},
    ],
)
def test_a_misspelt_rule_is_refused(entry: Mapping[str, Any]) -> None:
    """A rule that would have no effect is an error at the start, and its message holds no secret."""
    with pytest.raises(ValidationError) as caught:
        api_settings(credentials=({"secret_id": "a", "secret_key": "hush-hush", **entry},))
    assert "hush" not in str(caught.value)


def test_old_entries_keep_working(serve: Serve) -> None:
    """An entry with nothing but a key may do everything, and read_only alone may read everything."""
    entries = ({"secret_id": "AKIDOLD", "secret_key": SECRET_KEY},)
    settings = api_settings(credentials=entries)
    (old,) = settings.access.credentials
    assert frozenset(Operation) == old.allowed_operations
    assert {Operation.READ} == Credential(secret_id="a", secret_key="k", read_only=True).allowed_operations
