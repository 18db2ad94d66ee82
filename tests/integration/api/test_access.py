"""Who may do what with jobs: tenants, credentials, rates, and buckets that are not opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.types import Scope

from stemline.api.metrics import ApiMetrics
from stemline.jobs.errors import StoreUnavailable
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, ApiServer
from stemline.testing.client import BUCKET, REGION, Client, submission
from stemline.testing.processes import eventually
from tests.support.jobs import submit


def test_tenants_are_apart(server: ApiServer) -> None:
    """Nothing of one bucket, or of the same bucket elsewhere, is seen from another."""
    job = submit(server.client)
    for host in (f"other-1250000000.ci.{REGION}.myqcloud.com", f"{BUCKET}.ci.ap-beijing.myqcloud.com"):
        other = Client(server.port, host=host)
        assert [job] == other.get(f"/jobs/{job}").texts("NonExistJobIds")
        assert "InvalidArgument" == other.put(f"/jobs/{job}?cancel").code
        assert [""] == other.get("/jobs", tag="VoiceSeparate").texts("JobsDetail")


@pytest.mark.shows("POST /asrbucket")
def test_unopened(serve: Callable[..., ApiServer]) -> None:
    """Where the service is not opened by itself a submission is refused before its body is looked at."""
    client = serve(auto_open=False).client
    for body in (submission(), "nonsense", ""):
        answer = client.post("/jobs", body)
        assert (400, "AsrBucketUnBinded") == (answer.status, answer.code)
    assert 200 == client.request("POST", "/asrbucket").status
    submit(client)
    assert 200 == client.delete("/asrbucket").status
    assert "AsrBucketUnBinded" == client.post("/jobs", submission()).code


@pytest.mark.shows("GET /asrbucket", "scopes: buckets, read-only", "Output, Region, Bucket")
def test_scopes(serve: Callable[..., ApiServer]) -> None:
    """A credential reaches its own buckets only, also as destinations; a read-only one changes nothing."""
    keys = (
        CREDENTIAL,
        Credential(secret_id="one", secret_key="k", buckets=(BUCKET,)),
        Credential(secret_id="reader", secret_key="k", read_only=True),
    )
    server = serve(credentials=keys)
    one = Client(server.port, secret_id="one", secret_key="k")
    job = submit(one)
    elsewhere = submission().replace(f"<Bucket>{BUCKET}<", "<Bucket>other-1250000000<")
    assert (403, "AccessDenied") == ((a := one.post("/jobs", elsewhere)).status, a.code)
    other = Client(server.port, f"other-1250000000.ci.{REGION}.myqcloud.com", "one", "k")
    assert "AccessDenied" == other.get("/jobs/j1").code
    assert [BUCKET] == one.get("/asrbucket").texts("AsrBucketList/BucketId")
    reader = Client(server.port, secret_id="reader", secret_key="k")
    assert [job] == reader.get(f"/jobs/{job}").texts("JobsDetail/JobId")
    for answer in (
        reader.post("/jobs", submission()),
        reader.put(f"/jobs/{job}"),
        reader.delete("/asrbucket"),
    ):
        assert (403, "AccessDenied") == (answer.status, answer.code)


@pytest.mark.shows("anonymous access")
def test_anonymous(serve: Callable[..., ApiServer]) -> None:
    """Unsigned requests work only where the operator allows them; a wrong signature never does."""
    server = serve(anonymous_access=True)
    assert 200 == server.client.request("POST", "/jobs", submission().encode(), signed=False).status
    wrong = Client(server.port, secret_key="wrong")
    assert "SignatureDoesNotMatch" == wrong.get("/jobs/j1").code


def test_rate_limit(serve: Callable[..., ApiServer]) -> None:
    """Above its rate a credential gets SlowDown with Retry-After; other credentials do not."""
    keys = (CREDENTIAL, Credential(secret_id="b", secret_key="k"))
    server = serve(credentials=keys, rate_limit_per_s=0.01, rate_limit_burst=3)
    answers = [server.client.get("/jobs/j1") for _ in range(4)]
    assert [200, 200, 200, 503] == [answer.status for answer in answers]
    assert "SlowDown" == answers[3].code
    assert 50 < int(answers[3].headers["retry-after"]) <= 100
    assert 200 == Client(server.port, secret_id="b", secret_key="k").get("/jobs/j1").status
    assert 503 == server.client.get("/jobs/j1").status


def test_what_a_client_meets_by_its_own_doing_is_counted_apart(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spent rate and a full queue are limits of one client; a store that does not answer is not."""
    seen: list[tuple[int, float]] = []
    observe = ApiMetrics.observe

    def observed(self: ApiMetrics, scope: Scope, status: int, seconds: float) -> None:
        observe(self, scope, status, seconds)
        (limited,) = self._limited.collect()
        seen.append((status, limited.samples[0].value))

    monkeypatch.setattr(ApiMetrics, "observe", observed)
    server = serve(queue_max_size=1, rate_limit_per_s=0.01, rate_limit_burst=3)
    for _ in range(2):
        server.client.post("/jobs", submission())  # the second one finds the queue full
    server.store.jobs.get = _unavailable  # type: ignore[method-assign, assignment]
    for _ in range(2):
        server.client.get("/jobs/j1")  # the second one is beyond the rate
    eventually(lambda: len(seen) == 4, 60, "all requests are counted")
    assert seen == [(200, 0), (503, 1), (503, 1), (503, 2)]


def _unavailable(*_: object) -> None:
    raise StoreUnavailable
