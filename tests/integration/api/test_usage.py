"""Usage and budgets over HTTP."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.api.events import _may_see
from stemline.jobs.errors import BudgetSpent
from stemline.jobs.policy import Policy
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import DAY_US, Budget, Usage
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, ApiServer, finish
from stemline.testing.client import BUCKET, REGION, Client, submission
from stemline.wire.additions import EVENT
from stemline.wire.elements import Document
from tests.support.logs import captured_logs

JSON = {"Accept": "application/json"}
TENANT = Tenant("media-1250000000", "ap-chongqing")
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


@pytest.mark.parametrize("first", ["=", "+", "-", "@"])
def test_no_cell_of_the_table_is_a_formula(serve, first):
    """A spreadsheet computes nothing of a name that begins as a formula does."""
    name = f"{first}SUM(A1)"
    server = serve(credentials=(CREDENTIAL, Credential(secret_id=name, secret_key="k" * 20)))
    submit(Client(server.port, secret_id=name, secret_key="k" * 20))
    (line,) = csv.DictReader(io.StringIO(server.client.get("/usage", format="csv").body.decode()))
    assert f"'{name}" == line["Credential"]


def test_thirty_days_before_the_last_are_shown_by_default(server, monkeypatch):
    """Without a first day the table begins thirty days before the last one, without a last one today."""
    asked: list[tuple[int, int]] = []
    usage = server.store.usage

    def read(_: Tenant, first: int, last: int) -> list[Usage]:
        asked.append((first, last))
        return []

    monkeypatch.setattr(usage, "read", read)
    before = server.store.now() // DAY_US
    server.client.get("/usage")
    server.client.get("/usage", to="1970-03-02")
    assert (30, 60) == asked[1]
    assert before <= asked[0][1] <= server.store.now() // DAY_US
    assert 30 == asked[0][1] - asked[0][0]


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
    """An invalid day, or too many days, are refused."""
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


@pytest.mark.parametrize(("jobs", "fits"), [(1, True), (2, True), (3, False)])
def test_a_request_fits_a_budget_with_all_its_jobs(jobs, fits):
    """The last jobs of a day may be submitted, and one more with them is refused."""
    policy, spent = Policy(budget=Budget(jobs=10)), Usage(0, "a", jobs=8)
    with nullcontext() if fits else pytest.raises(BudgetSpent):
        assert 0.8 == policy.check_budget(spent, jobs)


def test_a_budget_warns_before_it_is_spent(serve):
    """From nine tenths on, each submission is logged with the share that is spent."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=10)
    server = serve(credentials=(limited,))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    with captured_logs() as logs:
        for _ in range(10):
            submit(client)
    warned = [line["percent"] for line in logs if line["event"] == "budget.nearly_spent"]
    assert [90, 100] == warned


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_budget_of_few_jobs_warns_too(serve, jobs):
    """The request that takes the last job says so; before it, not so much was spent that one had to."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=jobs)
    client = Client(serve(credentials=(limited,)).port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    answers = [client.post("/jobs", submission()) for _ in range(jobs)]
    found = [answer.headers.get("x-stemline-budget-percent") for answer in answers]
    assert [None] * (jobs - 1) + ["100"] == found


def test_a_batch_counts_in_what_its_answer_says_of_a_budget(serve):
    """Its rows are counted when it is accepted, and its answer warns."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=20)
    client = Client(serve(credentials=(limited,)).port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    output = {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/${jobid}"}
    separate = {"AudioMode": "IsAudio", "AudioConfig": {"Codec": "mp3"}}
    first = {"Tag": "VoiceSeparate", "Operation": {"VoiceSeparate": separate, "Output": output}}
    lines = [first, *({"Object": f"in/{number}"} for number in range(19))]
    content = "\n".join(json.dumps(line) for line in lines)
    answer = client.request("POST", "/batches", content.encode(), {"content-type": "application/x-ndjson"})
    assert (200, "95") == (answer.status, answer.headers.get("x-stemline-budget-percent"))


def test_a_bulk_retry_says_what_it_did_before_the_budget_was_spent(serve, monkeypatch):
    """The answer has the number and where to go on; the next request is refused."""
    monkeypatch.setattr("stemline.api.bulk.CHANGED_AT_ONCE", 2)
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=3)
    server = serve(credentials=(CREDENTIAL, limited))
    for _ in range(5):
        submit(server.client)
    server.client.post("/bulk/jobs/cancel", "")
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    answer = json.loads(client.request("POST", "/bulk/jobs/retry", headers=JSON).body)
    assert "2" == answer["ChangedCount"]
    refused = client.request("POST", f"/bulk/jobs/retry?nextToken={answer['NextToken']}")
    assert "BudgetExceeded" == refused.code


def nearly_spent(serve) -> tuple[ApiServer, Client]:
    """A server, and a client that has submitted nine of its ten jobs; the other one has no budget."""
    limited = Credential(
        secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=10, operations=("read", "submit")
    )
    server = serve(credentials=(CREDENTIAL, limited))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    for _ in range(9):
        submit(client)
    return server, client


@pytest.mark.shows("BudgetPercent")
def test_the_answer_warns_of_a_budget(serve):
    """A header of every answer says it, an element of JSON and of XML on request; a vendor's XML has none."""
    server, client = nearly_spent(serve)
    answer = client.post("/jobs?dryRun=true&additions=1", "<Request/>")
    assert "x-stemline-budget-percent" not in answer.headers  # refused before
    plain = client.post("/jobs", submission())
    assert "100" == plain.headers["x-stemline-budget-percent"]
    assert b"BudgetPercent" not in plain.body
    other = server.client.post("/jobs", submission())
    assert "x-stemline-budget-percent" not in other.headers


@pytest.mark.shows("BudgetPercent")
def test_json_warns_of_a_budget(serve):
    """The element is in JSON, also of a retry."""
    server, client = nearly_spent(serve)
    job = server.store.attempts.claim("w", [0])
    server.store.attempts.fail(job, "InternalError", "it broke")
    answer = client.request("POST", f"/jobs/{job.id}/retry", headers=JSON)
    assert "100" == json.loads(answer.body)["BudgetPercent"]


@pytest.mark.shows("Budget, DailyJobs, DailyAudioSeconds")
def test_the_usage_shows_budgets(serve):
    """A credential sees its own budget, who manages the bucket those of all credentials with usage."""
    server, client = nearly_spent(serve)
    expected = {"Credential": "AKIDLIMITED", "DailyJobs": "10", "BudgetPercent": "90"}
    for each in (client, server.client):
        assert [expected] == json.loads(each.request("GET", "/usage", headers=JSON).body)["Budget"]


def test_listeners_learn_once_that_a_budget_is_nearly_spent(serve):
    """One event a day informs the owner and who manages the bucket; other credentials do not see it."""
    server, client = nearly_spent(serve)
    begin = f"{server.store.now() // 1000 - 600_000}-0"
    submit(client)
    server.store.usage.warn(TENANT, "AKIDLIMITED", 95)
    found = [each for each in server.store.events.read(TENANT, begin) if each.kind == "budget"]
    assert [("AKIDLIMITED", "NearlySpent", 90)] == [(e.subject, e.state, e.progress) for e in found]
    shown = EVENT.write(found[0], Document.JSON_ANSWER)
    assert ("AKIDLIMITED", "90") == (shown["Credential"], shown["BudgetPercent"])
    policies = {"owner": ("AKIDLIMITED", Policy(operations=frozenset())), "manager": ("B", Policy())}
    policies["other"] = ("B", Policy(operations=frozenset()))
    seen = {}
    for name, (key, policy) in policies.items():
        context: Any = SimpleNamespace(principal=SimpleNamespace(id=key), policy=policy)
        seen[name] = _may_see(context, found[0])
    assert {"owner": True, "manager": True, "other": False} == seen


def test_requests_at_once_stay_within_a_budget(serve):
    """Of twelve submissions at once a budget of five lets five pass; one of these that is repeated, too."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=5)
    server = serve(credentials=(limited,))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    with ThreadPoolExecutor(12) as pool:
        headers = [{"Idempotency-Key": f"k{number}"} for number in range(12)]
        answers = list(pool.map(lambda each: client.post("/jobs", submission(), each), headers))
    assert 5 == sum(answer.status == 200 for answer in answers)
    assert {"BudgetExceeded"} == {answer.code for answer in answers if answer.status != 200}
    passed = next(n for n, answer in enumerate(answers) if answer.status == 200)
    assert 200 == client.post("/jobs", submission(), headers[passed]).status
