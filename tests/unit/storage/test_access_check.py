"""The check of buckets at the start, where there are many: whose fault keeps a worker from starting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets
from stemline.storage.access_check import BucketsUnusable
from stemline.storage.clients import MAX_CLIENTS
from stemline.testing.receiver import Receiver, answer, receiving
from tests.support.logs import captured_logs

LISTED = b"<ListBucketResult></ListBucketResult>"
UNKNOWN_KEY = b"<Error><Code>InvalidAccessKeyId</Code></Error>"
REFUSED = "the store refuses the keys (InvalidAccessKeyId)"


@pytest.fixture
def store() -> Iterator[Receiver]:
    with receiving(*[answer(200, LISTED)] * (MAX_CLIENTS + 1)) as store:
        yield store


@pytest.fixture
def refusing() -> Iterator[Receiver]:
    with receiving(*[answer(403, UNKNOWN_KEY)] * 3) as store:
        yield store


def access(store: Receiver, key: str, **changes: str) -> BucketAccess:
    address = f"http://127.0.0.1:{store.port}"
    return BucketAccess.model_validate(
        {"endpoint_url": address, "access_key": key, "secret_key": "s" if key else "", **changes}
    )


def check(**entries: BucketAccess) -> list[tuple[str, str]]:
    """Check entries, and return those that the log names, with the reason."""
    with captured_logs() as lines:
        Buckets(Settings(buckets=entries)).check_access(max_skew_s=1e9)
    return [(line["entry"], line["reason"]) for line in lines if line["event"] == "buckets.entry_unusable"]


def test_one_tenants_entry_keeps_no_worker_from_starting(store: Receiver, refusing: Receiver) -> None:
    """Keys that a tenant revoked, and authorities that are missing, are logged; the others' jobs are done."""
    gone = access(store, "mine", ca_bundle="/no/such/file")
    found = check(good=access(store, "good"), bad=access(refusing, "bad"), gone=gone)
    missing = "the authorities of /no/such/file cannot be read: No such file or directory"
    assert {("bad", REFUSED), ("gone", missing)} == set(found)


def test_a_worker_that_can_use_no_entry_is_refused(refusing: Receiver) -> None:
    """It names each entry."""
    with pytest.raises(BucketsUnusable) as caught:
        check(one=access(refusing, "one"), two=access(refusing, "two"))
    assert f"The buckets cannot be used. one: {REFUSED}; two: {REFUSED}" == str(caught.value)


def test_keys_of_the_machine_are_every_tenants(
    store: Receiver, refusing: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose own keys are refused is not started beside entries that have keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(BucketsUnusable, match="own: the store refuses the keys"):
        check(good=access(store, "good"), own=access(refusing, ""))


def test_the_proxy_is_every_tenants(store: Receiver) -> None:
    """One answer of the machine's proxy is enough."""
    with receiving(answer(407)) as proxy, pytest.raises(BucketsUnusable, match="the proxy or network"):
        check(good=access(store, "good"), behind=access(proxy, "behind"))


def test_the_first_of_a_thousand_tenants_are_looked_at(store: Receiver) -> None:
    """As many requests are sent as clients are kept, however many tenants have keys of their own."""
    assert [] == check(**{f"tenant-{number}": access(store, f"key-{number}") for number in range(1000)})
    assert MAX_CLIENTS == len(store.received)
