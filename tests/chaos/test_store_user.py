"""The rights of the store's user that docs/operations.md names suffice for everything, and are no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.jobs.states import State
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually
from tests.chaos import scenarios
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import PASSWORD, USER, Service
from tests.chaos.trials import SETTINGS
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


def documented() -> list[str]:
    """The rules that the page prints."""
    (rules,) = re.findall(
        r"ACL SETUSER stemline on '>PASSWORD' (.*)", (REPOSITORY / "docs/operations.md").read_text()
    )
    return str(rules).replace("'", "").split()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, workers=1, rights=documented(), **SETTINGS)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def test_the_documented_rights_suffice(service: Service) -> None:
    """With the documented rights a job succeeds and is announced, and Valkey refuses no command."""
    ledger = Ledger()
    receiver = Receiver(ledger)
    store = open_store(service.settings)
    client = Client(service, ledger, receiver.url, seed=1)
    try:
        job_id = scenarios.accepted(client, 0)
        assert scenarios.ended(store, job_id).state is State.SUCCESS
        eventually(lambda: ledger.callbacks[job_id], scenarios.MAX_S, "the callback")
    finally:
        store.close()
        receiver.close()
    with redis.Redis.from_url(service.valkey.url, decode_responses=True) as admin:
        assert [] == admin.acl_log()
        admin.set("others:key", "secret")
    with redis.Redis(port=service.valkey.port, username=USER, password=PASSWORD) as limited:
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "SET", "appendonly", "no"),
            ("KEYS", "*"),
            ("GET", "others:key"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                limited.execute_command(*command)
