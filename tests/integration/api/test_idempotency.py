"""A submission that is repeated under its key."""

from __future__ import annotations

import re
import threading
import time

import pytest

from stemline.testing.client import Client, submission
from stemline.wire.times import format_time
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


@pytest.mark.shows("Idempotency-Key")
def test_what_was_accepted_is_answered_when_it_would_be_refused_now(client: Client) -> None:
    """A Deadline that has passed meanwhile, and a template that is gone, hide no job."""
    soon = format_time(round((time.time() + 2) * 1e6))
    late = submission(request=f"<Deadline>{soon}</Deadline>")
    parameters = "<AudioMode>IsAudio</AudioMode><AudioConfig><Codec>mp3</Codec></AudioConfig>"
    request = f"<Request><Tag>VoiceSeparate</Tag><Name>t</Name>{parameters}</Request>"
    template = client.post("/template", request).text("Template/TemplateId")
    by_template = re.sub(
        "<VoiceSeparate>.*</VoiceSeparate>", f"<TemplateId>{template}</TemplateId>", submission()
    )
    bodies = {"late": late, "template": by_template}
    first = {key: submit(client, body, {"Idempotency-Key": key}) for key, body in bodies.items()}
    assert 200 == client.delete(f"/template/{template}").status
    while client.post("/jobs", late).status == 200:
        time.sleep(0.1)
    assert 400 == client.post("/jobs", by_template).status
    assert first == {key: submit(client, body, {"Idempotency-Key": key}) for key, body in bodies.items()}
    other = submission(source="other.mp3", request=f"<Deadline>{soon}</Deadline>")
    assert 409 == client.post("/jobs", other, {"Idempotency-Key": "late"}).status
