"""Lists of jobs: filters, order, pages."""

from __future__ import annotations

import json
import socket
import threading
from typing import cast

import pytest
import redis

from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store import Store
from stemline.testing.api_server import TENANT, ApiServer, finish
from stemline.testing.client import BUCKET, REGION, Client, read_answer, submission
from tests.support.jobs import queue_id, submit
from tests.support.rounds import rounds


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
