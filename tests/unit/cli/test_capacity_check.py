"""What `stemline doctor capacity` says of a store that stops answering while it is read."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from stemline.cli.checks.capacity import capacity
from stemline.cli.checks.findings import CheckContext, Verdict
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store.server_errors import translate
from stemline.runtime.settings import Credential, Settings
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT


@pytest.mark.parametrize(
    "read",
    [("statistics", "read"), ("queues", "search"), ("batches", "search"), ("usage", "spent")],
    ids="-".join,
)
def test_a_read_without_an_answer_is_a_finding(
    read: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever read has no answer in time, one finding says so, and no fault of the program is reported."""
    store = InMemoryStore()
    output = Output(TENANT.region, TENANT.bucket)
    store.jobs.create([JobSpec(TENANT, "a", VoiceSeparate(AudioMode.IS_AUDIO), output)])

    def late(*_: Any, **__: Any) -> None:
        cause = redis.TimeoutError("Timeout reading from socket")
        raise translate(cause) from cause

    monkeypatch.setattr(getattr(store, read[0]), read[1], late)
    monkeypatch.setattr("stemline.runtime.store.open_store", lambda _: store)
    budget = Credential(secret_id="i", secret_key="k", daily_jobs=1)
    found = list(
        capacity(CheckContext(Settings(credentials=(budget,)), write=False, buckets=(), receiver=""))
    )
    message = "the store does not answer: it did not answer in time"
    assert [(Verdict.ERROR, message)] == [(each.verdict, each.message) for each in found]
