"""A rolling upgrade: the records of the last release are worked on by this one while clients submit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.jobs.states import QueueState, State
from stemline.jobs.store import QueueFilter
from stemline.runtime.store import open_store
from stemline.storage.publish import Upload
from stemline.testing.processes import eventually
from tests.chaos import scenarios, stub
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS
from tests.integration.jobs.test_formats import FOLDER, NIGHT, TENANT, restore

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, **SETTINGS)
    yield service
    service.stop()


@pytest.mark.thorough
def test_records_of_the_last_release_under_load(service: Service) -> None:
    """Jobs that the last release left waiting, running and paused succeed, beside new ones under load.

    The processes are replaced in the documented order while clients submit; no submission fails with a 5xx.
    """
    recorded = json.loads(max(FOLDER.glob("v*.json")).read_text())
    old = {name: recorded["jobs"][name] for name in ("waiting", "running", "paused")}
    service.start()
    for part in service.parts:
        service.kill(part)
    # The interrupted attempt has left an open upload, with an id of this server.
    upload = service.s3.client().create_multipart_upload(Bucket=TENANT.bucket, Key="out/x.wav")["UploadId"]
    left = Upload(TENANT.region, TENANT.bucket, "out/x.wav", upload, old["running"], 1, 1, "")
    for entry in recorded["keys"].values():
        if isinstance(entry["value"], dict) and "uploads" in entry["value"]:
            entry["value"]["uploads"] = json.dumps([left.to_json()])
    with redis.Redis.from_url(service.valkey.url, decode_responses=True) as client:
        client.flushall()
        restore(client, recorded["keys"])
    service.s3.create_bucket(NIGHT.bucket)
    for name in old:
        bucket = NIGHT.bucket if name == "paused" else TENANT.bucket
        service.s3.client().put_object(Bucket=bucket, Key=f"in/{name}.mp3", Body=stub.source(name, 0.2))
    for part in service.parts:
        service.restart(part)
    ledger, store = Ledger(), open_store(service.settings)
    receiver = Receiver(ledger)
    load = Client(service, ledger, receiver.url, seed=1)
    try:
        first = scenarios.accepted(load, 0)
        load.start()
        for part in ("worker-1", "worker-2", "callbacks", "beat"):
            service.kill(part)
            service.restart(part)
        (queue,) = store.queues.search(NIGHT, QueueFilter()).items
        store.queues.update(NIGHT, queue.id, state=QueueState.ACTIVE)
        for name, job_id in old.items():
            assert scenarios.ended(store, job_id).state is State.SUCCESS, name
        new = scenarios.ended(store, first)
        assert new.state in {State.SUCCESS, State.CANCEL}  # the clients under load also cancel
    finally:
        load.stop()
        receiver.close()
        store.close()
    assert len(ledger.accepted) > 5
    assert [] == ledger.server_errors


def test_ended_records_stay_as_they_were(service: Service) -> None:
    """Jobs that the last release ended keep their state and answers under this release."""
    recorded = json.loads(max(FOLDER.glob("v*.json")).read_text())
    service.valkey.start()
    with redis.Redis.from_url(service.valkey.url, decode_responses=True) as client:
        restore(client, recorded["keys"])
    store = open_store(service.settings)
    expected = {"success": State.SUCCESS, "failed": State.FAILED, "cancelled": State.CANCEL}
    for name, state in expected.items():
        job = eventually(lambda name=name: store.jobs.find(recorded["jobs"][name]), 60, name)
        assert state is job.state
    store.close()
