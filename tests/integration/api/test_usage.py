"""Usage and budgets over HTTP."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from stemline.jobs.policy import Policy
from stemline.jobs.usage import Budget, Usage
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, finish
from stemline.testing.client import Client, submission

JSON = {"Accept": "application/json"}
TODAY = datetime.now(UTC).date()


def submit(client: Client) -> str:
    answer = client.post("/jobs", submission())
    return answer.text("JobsDetail/JobId") or answer.code


@pytest.mark.shows("GET /usage")
def test_usage_is_shown_and_written_as_a_table(server):
    """What jobs took is answered in JSON, XML and CSV."""
    finish(server.store, submit(server.client))
    (row,) = json.loads(server.client.request("GET", "/usage", headers=JSON).body)["UsageList"]
    assert ("1", "1", "0", CREDENTIAL.secret_id) == (
        row["JobCount"],
        row["SuccessCount"],
        row["FailedCount"],
        row["Credential"],
    )
    assert row["Date"] in {str(TODAY), str(TODAY + timedelta(days=1))}
    assert "1" == server.client.get("/usage").text("UsageList/JobCount")
    answer = server.client.get("/usage", format="csv")
    assert "text/csv; charset=utf-8" == answer.headers["content-type"]
    (line,) = csv.DictReader(io.StringIO(answer.body.decode()))
    assert ("1", "2001") == (line["JobCount"], line["BytesOut"])


def test_a_credential_without_rights_sees_its_own(serve):
    """Who may not open and close the bucket sees the usage of its own credential alone."""
    other = Credential(secret_id="AKIDOTHER", secret_key="k" * 20, operations=("read", "submit"))
    server = serve(credentials=(CREDENTIAL, other))
    client = Client(server.port, secret_id="AKIDOTHER", secret_key="k" * 20)
    submit(client)
    submit(server.client)
    assert ["AKIDOTHER"] == client.get("/usage").texts("UsageList/Credential")
    assert 2 == len(server.client.get("/usage").texts("UsageList/Credential"))


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-02-30"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"format": "xls"},
    ],
)
def test_days_are_refused_clearly(server, query):
    """A day that is none, or too many days, are refused."""
    assert "InvalidArgument" == server.client.get("/usage", **query).code


def test_a_budget_refuses_when_it_is_spent(serve):
    """A credential submits as many jobs as its budget has, then it is refused and nothing is stored."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=2)
    server = serve(credentials=(CREDENTIAL, limited))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    assert [True, True, False] == [submit(client).startswith("j") for _ in range(3)]
    refused = client.post("/jobs", submission())
    assert (403, "BudgetExceeded") == (refused.status, refused.code)
    assert submit(server.client).startswith("j")


def test_seconds_of_audio_are_a_budget_too():
    """The nearer of two limits counts, and each is whole at its number."""
    budget = Budget(jobs=10, audio_s=100)
    assert 0.5 == budget.share(Usage(0, "a", jobs=5, audio_ms=20_000))
    assert 0.9 == budget.share(Usage(0, "a", jobs=5, audio_ms=90_000))
    assert 1 == Budget(audio_s=0).share(Usage(0, "a"))
    assert 0 == Budget().share(Usage(0, "a", jobs=10**6))
    assert 0.9 == Policy(budget=budget).check_budget(Usage(0, "a", audio_ms=90_000), 1)


def test_a_budget_warns_before_it_is_spent(serve):
    """From nine tenths on, each submission is logged with the share that is spent."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=10)
    server = serve(credentials=(limited,))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as logs:
        for _ in range(10):
            submit(client)
    warned = [line["percent"] for line in logs if line["event"] == "budget.nearly_spent"]
    assert [90] == warned
