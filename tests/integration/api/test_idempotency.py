"""A submission that is repeated under its key."""

from __future__ import annotations

import threading

import pytest

from stemline.testing.client import Client, submission
from tests.support.jobs import submit


@pytest.mark.shows("Idempotency-Key")
def test_idempotency(client: Client) -> None:
    """The same key and body give the same job; another body is a conflict; another key another job."""
    key = {"Idempotency-Key": "order-17"}
    first = submit(client, headers=key)
    assert first == submit(client, headers=key)
    answer = client.post("/jobs", submission(source="other.mp3"), key)
    assert (409, "InvalidArgument") == (answer.status, answer.code)
    assert first != submit(client, headers={"Idempotency-Key": "order-18"})
    assert first != submit(client)
    assert "InvalidArgument" == client.post("/jobs", submission(), {"Idempotency-Key": "x" * 256}).code


@pytest.mark.shows("Idempotency-Key")
def test_idempotent_repeats_at_once(client: Client) -> None:
    """Of ten equal requests at the same moment one makes the job and all get it."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(submit(client, headers={"Idempotency-Key": "k"})))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (10, 1) == (len(found), len(set(found)))
