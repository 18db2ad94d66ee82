"""The vendor's Node SDK (cos-nodejs-sdk-v5), unchanged: direct URLs, by Ip, through a proxy, with a token."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from stemline.runtime.settings import Credential
from stemline.testing.api_server import ApiServer, finish
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY, submission

HOST = f"{BUCKET}.ci.{REGION}.myqcloud.com"


class Node:
    """A Node process with the SDK."""

    def __init__(self, folder: Path, options: dict[str, Any], base: str) -> None:
        self.options, self.base = options, base
        environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        self.process = subprocess.Popen(
            ["node", "sdk.js"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def raw(self, method: str, path: str, body: str = "", **params: Any) -> dict[str, Any]:
        """One ``cos.request``, as the vendor's demos make it: a whole URL, a Key for the signature."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        wanted = {"Method": method, "Url": f"{self.base}{path}", "Key": path[1:], **params}
        if body:
            wanted |= {"Body": body, "Headers": {"Content-Type": "application/xml"}}
        self.process.stdin.write(json.dumps({"options": self.options, "params": wanted}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def call(self, method: str, path: str, body: str = "", **params: Any) -> Any:
        """The ``Response`` of a call that succeeds."""
        answer = self.raw(method, path, body, **params)
        assert "error" not in answer, answer
        return answer["data"].get("Response")

    def fail(self, method: str, path: str, body: str = "", **params: Any) -> tuple[str, int]:
        """Code and status of a call that is refused; the error has its message and request id."""
        answer = self.raw(method, path, body, **params)
        error = answer["error"]
        assert error["message"]
        assert answer["headers"]["x-ci-request-id"]
        assert error["error"]["RequestId"] == answer["headers"]["x-ci-request-id"]
        return error["error"]["Code"], error["statusCode"]


TEMPORARY = Credential(secret_id=SECRET_ID, secret_key=SECRET_KEY, token="tok/1+=")
FORMS: dict[str, tuple[Callable[[int], dict[str, Any]], str, dict[str, Any]]] = {
    "direct URL": (lambda p: {}, "http://127.0.0.1:{port}", {}),
    "Ip": (lambda p: {"Ip": f"127.0.0.1:{p}"}, f"http://{HOST}", {}),
    "Proxy": (lambda p: {"Proxy": f"http://127.0.0.1:{p}"}, f"http://{HOST}", {}),
    "Ip and SecurityToken": (
        lambda p: {"Ip": f"127.0.0.1:{p}", "SecurityToken": "tok/1+="},
        f"http://{HOST}",
        {"credentials": (TEMPORARY,)},
    ),
}


@pytest.fixture(params=FORMS)
def side(
    request: pytest.FixtureRequest, installed: Path, serve: Callable[..., ApiServer]
) -> Iterator[tuple[Node, ApiServer]]:
    """The SDK, pointed at a server in one of its ways."""
    options, base, changes = FORMS[request.param]
    server = serve(**changes)
    keys = {"SecretId": SECRET_ID, "SecretKey": SECRET_KEY}
    with Node(installed, keys | options(server.port), base.format(port=server.port)) as node:
        yield node, server


def many(value: Any) -> list[Any]:
    """The SDK gives one element as itself, several as a list, none as nothing."""
    if value in (None, ""):
        return []
    return value if isinstance(value, list) else [value]


@pytest.mark.shows("cos-nodejs-sdk-v5 3.0.0")
def test_checklist(side: tuple[Node, ApiServer]) -> None:
    """Create, query, list, cancel, templates, queues: the whole checklist as the vendor's demos call it."""
    node, server = side
    jobs(node, server)
    pause(node)
    lists(node)
    templates(node)
    switch(node)
    errors(node)


def submit(node: Node, body: str = "") -> str:
    detail = node.call("POST", "/jobs", body or submission())["JobsDetail"]
    assert ("Submitted", "VoiceSeparate") == (detail["State"], detail["Tag"])
    return str(detail["JobId"])


def jobs(node: Node, server: ApiServer) -> None:
    """Submit in all variants, poll to the end, ask for several ids."""
    job = submit(node)
    finish(server.store, job)
    detail = node.call("GET", f"/jobs/{job}")["JobsDetail"]
    assert ("Success", "") == (detail["State"], detail["Message"])
    assert ["out/voice.mp3", "out/bg.mp3"] == detail["Operation"]["MediaResult"]["OutputFile"]["ObjectName"]
    assert "out/bg.${ext}" == detail["Operation"]["Output"]["Object"]
    both = submit(
        node, '<?xml version="1.0" encoding="utf-8"?>\n' + submission(request="<CallBack></CallBack>")
    )
    answer = node.call("GET", f"/jobs/{job},{both},j0")
    assert ([job, both], "j0") == ([d["JobId"] for d in answer["JobsDetail"]], answer["NonExistJobIds"])
    assert node.call("PUT", f"/jobs/{both}", Query={"cancel": ""}) is None
    assert node.call("PUT", f"/jobs/{both}") is None  # as the official demo does it, and a second time
    assert "Cancel" == node.call("GET", f"/jobs/{both}")["JobsDetail"]["State"]


def pause(node: Node) -> None:
    """Pause the queue through its alias: waiting jobs show it, and can be cancelled."""
    job, other = submit(node), submit(node)
    query = {"pageNumber": "1", "pageSize": "10", "state": "Active", "queueIds": ""}
    queue = node.call("GET", "/queue", Query=query)["QueueList"]
    assert queue == node.call("GET", "/asrqueue", Query=query)["QueueList"]
    notify = "<NotifyConfig><Url>http://127.0.0.1:9/cb</Url><Type>Url</Type><Event>TaskFinish</Event>"
    body = f"<Name>1</Name><QueueID>x</QueueID><State>Paused</State>{notify}<State>On</State></NotifyConfig>"
    for path in ("/queue", "/asrqueue"):
        changed = node.call("PUT", f"{path}/{queue['QueueId']}", f"<Request>{body}</Request>")["Queue"]
        assert ("Paused", "On", "1") == (changed["State"], changed["NotifyConfig"]["State"], changed["Name"])
    states = [d["State"] for d in node.call("GET", f"/jobs/{job},{other}")["JobsDetail"]]
    assert ["Pause", "Pause"] == states
    node.call("PUT", f"/jobs/{job}", Query={"cancel": ""})
    node.call("PUT", f"/queue/{queue['QueueId']}", "<Request><State>Active</State></Request>")
    states = [d["State"] for d in node.call("GET", f"/jobs/{job},{other}")["JobsDetail"]]
    assert ["Cancel", "Submitted"] == states


def lists(node: Node) -> None:
    """Filters, pages of one until the token is empty, an empty result."""

    def page(**query: str) -> Any:
        return node.call("GET", "/jobs", Query={"tag": "VoiceSeparate", **query})

    ids = [d["JobId"] for d in page(size="100")["JobsDetail"]]
    ascending = page(
        size="100", orderByTime="Asc", states="All", startCreationTime="2020-01-01T00:00:00+0800"
    )
    assert ids[::-1] == [d["JobId"] for d in ascending["JobsDetail"]]
    assert ["Success"] == [d["State"] for d in many(page(states="Success,Failed")["JobsDetail"])]
    seen, token = [], ""
    for _ in range(20):
        found = page(size="1", nextToken=token)
        seen += [d["JobId"] for d in many(found["JobsDetail"])]
        token = found["NextToken"]
        if not token:
            break
    assert ids == seen
    assert [] == many(page(inputObject="nowhere/ä ö+.mp3")["JobsDetail"])


def templates(node: Node) -> None:
    """Create, duplicate, update without AudioConfig, query by ids, use, delete, delete again."""
    head = "<Request><Tag>VoiceSeparate</Tag><Name>n1</Name><AudioMode>IsAudio</AudioMode>"
    body = f"{head}<AudioConfig><Codec>mp3</Codec></AudioConfig></Request>"
    template = node.call("POST", "/template", body)["Template"]["TemplateId"]
    assert ("TemplateNameDuplicate", 400) == node.fail("POST", "/template", body)
    updated = node.call("PUT", f"/template/{template}", f"{head}</Request>".replace("n1", "n2"))["Template"]
    assert ("n2", "mp3") == (updated["Name"], updated["VoiceSeparate"]["AudioConfig"]["Codec"])
    query = {"pageSize": "100", "pageNumber": "1", "category": "Custom", "ids": ""}
    assert [template] == [
        t["TemplateId"] for t in many(node.call("GET", "/template", Query=query)["TemplateList"])
    ]
    by_ids = node.call("GET", "/template", Query={"ids": f"{template},t1x"})
    assert (template, "t1x") == (by_ids["TemplateList"]["TemplateId"], by_ids["NonExistTIDs"]["TemplateId"])
    job = submit(node, submission(operation=f"<TemplateId>{template}</TemplateId>"))
    assert template == node.call("DELETE", f"/template/{template}")["TemplateId"]
    assert ("TemplateNotFound", 404) == node.fail("DELETE", f"/template/{template}")
    operation = node.call("GET", f"/jobs/{job}")["JobsDetail"]["Operation"]
    assert (template, "n2") == (operation["TemplateId"], operation["TemplateName"])


def switch(node: Node) -> None:
    """Open and close the service; a closed bucket takes no jobs until it is opened again."""
    assert BUCKET == node.call("POST", "/asrbucket")["AsrBucket"]["BucketId"]
    assert "1" == node.call("GET", "/asrbucket", Query={"bucketNames": BUCKET})["TotalCount"]
    assert BUCKET == node.call("DELETE", "/asrbucket")["BucketName"]
    assert ("AsrBucketUnBinded", 400) == node.fail("POST", "/jobs", submission())
    assert BUCKET == node.call("POST", "/asrbucket")["AsrBucket"]["BucketId"]


def errors(node: Node) -> None:
    """Each refusal reads as its own code and status."""
    assert ("InvalidArgument", 400) == node.fail("PUT", "/jobs/j0", Query={"cancel": ""})
    assert ("InvalidArgument", 400) == node.fail("POST", "/jobs", submission(mode="X"))
    assert ("InvalidContent", 400) == node.fail("POST", "/jobs", "<Request>")
    assert ("QueueNotFound", 400) == node.fail("POST", "/jobs", submission(request="<QueueId>p0</QueueId>"))
    assert ("NoSuchResource", 404) == node.fail("GET", "/nothing")
    assert ("MethodNotAllowed", 405) == node.fail("DELETE", "/jobs")


@pytest.mark.shows("cos-nodejs-sdk-v5 3.0.0")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SecretKey": "wrong"}, "SignatureDoesNotMatch"),
        ({"SecretId": "nobody"}, "InvalidAccessKeyId"),
        ({"SystemClockOffset": 3_600_000}, ""),
    ],
)
def test_keys_and_clock(
    installed: Path, serve: Callable[..., ApiServer], changes: dict[str, Any], expected: str
) -> None:
    """Wrong keys are refused with their codes; the SDK corrects a clock that is an hour ahead."""
    port = serve().port
    keys = {"SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "CorrectClockSkew": True} | changes
    with Node(installed, keys, f"http://127.0.0.1:{port}") as node:
        if expected:
            assert (expected, 403) == node.fail("GET", "/jobs/j1")
        else:
            assert "j1" == node.call("GET", "/jobs/j1")["NonExistJobIds"]
