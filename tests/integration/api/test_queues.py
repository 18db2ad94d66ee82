"""Queues and the service switch over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stemline.jobs.store import QueueFilter
from stemline.testing.api_server import TENANT, ApiServer
from stemline.testing.client import BUCKET, REGION, Client

QUEUE = (
    "<QueueId>{id}</QueueId><Name>queue-speech-1</Name><State>Active</State><NotifyConfig><Url/><Event/><Type/>"
    "<State>Off</State><ResultFormat>XML</ResultFormat></NotifyConfig><MaxSize>10000</MaxSize>"
    "<MaxConcurrent>10</MaxConcurrent><UpdateTime>{at}</UpdateTime><CreateTime>{at}</CreateTime>"
    f"<BucketId>{BUCKET}</BucketId><Category>Speeching</Category>"
)
ON = "<State>On</State><Event>TaskFinish</Event><Type>Url</Type><Url>http://cb.example.com/q</Url>"


def the_queue(client: Client) -> str:
    return client.get("/asrqueue").text("QueueList/QueueId") or ""


@pytest.mark.shows("GET /asrqueue", "GET /queue")
@pytest.mark.parametrize("path", ["/asrqueue", "/queue"])
def test_first_look(client: Client, path: str) -> None:
    """The first look at a bucket's queues shows the one queue that the first change will create."""
    answer = client.get(path, queueIds="", state="All", pageNumber="1", pageSize="10")
    queue, at = (answer.text(f"QueueList/{name}") or "" for name in ("QueueId", "CreateTime"))
    assert re.fullmatch(r"p[0-9a-f]{32}", queue)
    request_id = answer.headers["x-ci-request-id"]
    assert answer.body.decode() == (
        f"<Response><RequestId>{request_id}</RequestId><TotalCount>1</TotalCount><PageNumber>1</PageNumber>"
        f"<PageSize>10</PageSize><QueueList>{QUEUE.format(id=queue, at=at)}</QueueList></Response>"
    )
    assert queue == the_queue(client)


def test_unopened(serve: Callable[..., ApiServer]) -> None:
    """Where the service is not opened by itself there is no queue before the switch is used."""
    client = serve(auto_open=False).client
    answer = client.get("/asrqueue")
    assert ("0", None) == (answer.text("TotalCount"), answer.xml.find("QueueList"))
    assert 200 == client.request("POST", "/asrbucket").status
    assert the_queue(client)


@pytest.mark.shows("GET /asrqueue", "queueIds, state, category", "Queue, QueueList, NonExistPIDs")
def test_filters(client: Client) -> None:
    """Ids and state choose; unknown ids have an element each; another category has no queues here."""
    queue = the_queue(client)
    answer = client.get("/asrqueue", queueIds=f"{queue},px,py")
    assert ([queue], ["px", "py"]) == (answer.texts("QueueList/QueueId"), answer.texts("NonExistPIDs"))
    for query, count in (
        ({"state": "Active"}, 1),
        ({"state": "Paused"}, 0),
        ({"pageNumber": "2"}, 0),
        ({"category": "CateAll"}, 1),
        ({"category": "Speeching"}, 1),
        ({"category": "Transcoding"}, 0),
        ({"pageNumber": "", "pageSize": ""}, 1),
    ):
        assert count == len(client.get("/queue", **query).texts("QueueList")), query
    for bad in ({"state": "Off"}, {"pageSize": "101"}, {"pageNumber": "x"}):
        assert (400, "InvalidArgument") == ((a := client.get("/queue", **bad)).status, a.code)


@pytest.mark.shows(
    "PUT /asrqueue/{queue_id}", "PUT /queue/{queue_id}", "NotifyConfig: Event, ResultFormat, Type, Url"
)
@pytest.mark.parametrize("path", ["/asrqueue", "/queue"])
def test_update(client: Client, path: str) -> None:
    """Name, state and notification change and are answered whole; an id in the body is ignored."""
    queue = the_queue(client)
    inner = f"<Name>夜_1</Name><QueueID>pother</QueueID><State>Paused</State><NotifyConfig>{ON}"
    answer = client.put(
        f"{path}/{queue}", f"<Request>{inner}<ResultFormat>JSON</ResultFormat></NotifyConfig></Request>"
    )
    element = answer.xml.find("Queue/NotifyConfig")
    assert element is not None
    shown = {child.tag: child.text for child in element}
    expected = {
        "Url": "http://cb.example.com/q",
        "Event": "TaskFinish",
        "Type": "Url",
        "State": "On",
        "ResultFormat": "JSON",
    }
    assert expected == shown
    assert list(expected) == list(shown)
    assert ["夜_1", "Paused", queue] == [answer.text(f"Queue/{n}") for n in ("Name", "State", "QueueId")]
    assert "Paused" == client.get("/asrqueue").text("QueueList/State")


@pytest.mark.shows("MaxSize, MaxConcurrent")
def test_absent_keeps(server: ApiServer) -> None:
    """What an update leaves out keeps its value, inside NotifyConfig too."""
    client = server.client
    queue = the_queue(client)
    client.put(f"/asrqueue/{queue}", f"<Request><NotifyConfig>{ON}</NotifyConfig></Request>")
    client.put(
        f"/asrqueue/{queue}", "<Request><MaxSize>7</MaxSize><MaxConcurrent>3</MaxConcurrent></Request>"
    )
    off = "<Request><Name/><NotifyConfig><State>Off</State></NotifyConfig></Request>"
    assert 200 == client.put(f"/asrqueue/{queue}", off).status
    kept = server.store.queues.search(TENANT, QueueFilter()).items[0]
    assert ("queue-speech-1", 7, 3) == (kept.name, kept.max_size, kept.max_concurrent)
    assert ("Off", "http://cb.example.com/q") == (kept.notify.state, kept.notify.url)


def test_changes_at_once_are_all_kept(server: ApiServer) -> None:
    """Of clients that change different fields of a queue at the same moment, none undoes another's change."""
    queue = the_queue(server.client)
    server.client.put(f"/asrqueue/{queue}", f"<Request><NotifyConfig>{ON}</NotifyConfig></Request>")
    for number in range(5):
        url, form = f"http://cb.example.com/{number}", "JSON" if number % 2 else "XML"
        inner = (
            f"<NotifyConfig><Url>{url}</Url></NotifyConfig>",
            f"<NotifyConfig><ResultFormat>{form}</ResultFormat></NotifyConfig>",
            f"<MaxSize>{number + 1}</MaxSize>",
        )
        bodies = [f"<Request>{each}</Request>" for each in inner]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda body: server.client.put(f"/asrqueue/{queue}", body), bodies))
        assert [200] * 3 == [answer.status for answer in answers]
        found = server.store.queues.search(TENANT, QueueFilter()).items[0]
        assert (url, form, number + 1) == (found.notify.url, found.notify.result_format, found.max_size)


@pytest.mark.shows("NotifyConfig: Event, ResultFormat, Type, Url")
def test_tdmq(client: Client) -> None:
    """A queue may announce to TDMQ; MqMode is Queue where it is not given."""
    queue = the_queue(client)
    inner = "<State>On</State><Event>TaskFinish,WorkflowFinish</Event><Type>TDMQ</Type>"
    mq = "<MqRegion>gz</MqRegion><MqName>voice-done</MqName>"
    answer = client.put(f"/queue/{queue}", f"<Request><NotifyConfig>{inner}{mq}</NotifyConfig></Request>")
    assert 200 == answer.status
    assert "voice-done" == answer.text("Queue/NotifyConfig/MqName")


@pytest.mark.parametrize(
    "inner",
    [
        "<Name>a b</Name>",
        f"<Name>{'x' * 129}</Name>",
        "<State>Off</State>",
        "<MaxSize>0</MaxSize>",
        "<MaxConcurrent>-1</MaxConcurrent>",
        "<NotifyConfig>on</NotifyConfig>",
        "<NotifyConfig><State>On</State></NotifyConfig>",
        "<NotifyConfig><State>Maybe</State></NotifyConfig>",
        f"<NotifyConfig>{ON.replace('<Event>TaskFinish</Event>', '')}</NotifyConfig>",
        f"<NotifyConfig>{ON.replace('TaskFinish', 'TaskStart')}</NotifyConfig>",
        f"<NotifyConfig>{ON.replace('http://cb.example.com/q', 'mailto:x')}</NotifyConfig>",
        f"<NotifyConfig>{ON.replace('<Url>http://cb.example.com/q</Url>', '')}</NotifyConfig>",
        f"<NotifyConfig>{ON.replace('>Url<', '>TDMQ<')}</NotifyConfig>",
        f"<NotifyConfig>{ON}<ResultFormat>YAML</ResultFormat></NotifyConfig>",
    ],
)
def test_refused(client: Client, inner: str) -> None:
    """A bad or incomplete value is refused and changes nothing."""
    client.post("/asrbucket", "")  # a queue that is not stored yet shows the time of the request
    queue = the_queue(client)
    before = client.get("/asrqueue").xml.find("QueueList")
    answer = client.put(f"/asrqueue/{queue}", f"<Request>{inner}</Request>")
    assert (400, "InvalidArgument") == (answer.status, answer.code)
    after = client.get("/asrqueue").xml.find("QueueList")
    assert before is not None
    assert after is not None
    assert [e.text for e in before.iter()] == [e.text for e in after.iter()]


@pytest.mark.shows("Name")
def test_long_chinese_name(client: Client) -> None:
    """128 characters of any allowed kind are a name."""
    name = "夜" * 128
    assert name == client.put(f"/queue/{the_queue(client)}", f"<Request><Name>{name}</Name></Request>").text(
        "Queue/Name"
    )


@pytest.mark.parametrize("path", ["/asrqueue/p0", "/queue/p0"])
def test_unknown(client: Client, path: str) -> None:
    """An unknown queue in a path is 404; another bucket's is unknown too."""
    answer = client.put(path, "<Request><State>Paused</State></Request>")
    assert (404, "QueueNotFound") == (answer.status, answer.code)
    queue = the_queue(client)
    other = Client(client.port, f"other-1250000000.ci.{REGION}.myqcloud.com")
    assert "QueueNotFound" == other.put(f"/queue/{queue}", "<Request><State>Paused</State></Request>").code


# -- the service switch


@pytest.mark.shows("POST /asrbucket", "AsrBucket, AsrBucketList, BucketName, AliasBucketId")
def test_open_and_close(client: Client) -> None:
    """Opening answers the bucket, twice the same; closing answers its name, twice it is unknown."""
    first = client.request("POST", "/asrbucket")
    assert ["RequestId", "AsrBucket"] == [child.tag for child in first.xml]
    bucket = first.xml.find("AsrBucket")
    assert bucket is not None
    assert ["BucketId", "Name", "Region", "CreateTime", "AliasBucketId"] == [child.tag for child in bucket]
    assert [BUCKET, BUCKET, REGION] == [child.text for child in bucket][:3]
    again = client.request("POST", "/asrbucket")
    assert first.text("AsrBucket/CreateTime") == again.text("AsrBucket/CreateTime")
    closed = client.delete("/asrbucket")
    assert ["RequestId", "BucketName"] == [child.tag for child in closed.xml]
    assert BUCKET == closed.text("BucketName")
    assert (404, "NoSuchBucket") == ((a := client.delete("/asrbucket")).status, a.code)


@pytest.mark.shows("GET /asrbucket", "regions, bucketNames, bucketName")
def test_list_of_buckets(serve: Callable[..., ApiServer]) -> None:
    """Opened buckets are listed at a host without a bucket, by region, name and part of a name."""
    server = serve(regions=("ap-x", "ap-y"))
    for bucket, region in (("aa-1", "ap-x"), ("ab-1", "ap-x"), ("aa-1", "ap-y")):
        Client(server.port, f"{bucket}.ci.{region}.myqcloud.com").request("POST", "/asrbucket")
    client = Client(server.port, "ci.ap-x.myqcloud.com")

    def found(**query: str) -> list[str]:
        return client.get("/asrbucket", **query).texts("AsrBucketList/BucketId")

    assert ["aa-1", "ab-1", "aa-1"] == found()
    assert ["aa-1", "ab-1"] == found(
        regions="ap-x", bucketNames="", bucketName="", pageNumber="", pageSize=""
    )
    assert ["aa-1", "aa-1"] == found(bucketNames="aa-1,zz-1")
    assert ["ab-1"] == found(bucketName="b-")
    assert ["ab-1"] == found(regions="All", pageSize="1", pageNumber="2")
    assert [] == found(regions="ap-z")
    assert "3" == client.get("/asrbucket", pageSize="1").text("TotalCount")
    assert "InvalidHost" == client.request("POST", "/asrbucket").code


def test_number_is_limited(serve: Callable[..., ApiServer]) -> None:
    """A region has so many buckets and no more."""
    server = serve(buckets_per_region=1, regions=("ap-x",))
    assert 200 == Client(server.port, "aa-1.ci.ap-x.myqcloud.com").request("POST", "/asrbucket").status
    answer = Client(server.port, "ab-1.ci.ap-x.myqcloud.com").request("POST", "/asrbucket")
    assert (400, "BindedBucketNumLimit") == (answer.status, answer.code)
