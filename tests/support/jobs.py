"""Requests about jobs that many tests of the API make."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from stemline.testing.client import Client, submission


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
