"""Reuse of stems, as the API knows it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stemline.jobs.job import Result
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL
from stemline.testing.client import Client, submission

JSON = {"Accept": "application/json"}
ORIGIN = "j" + "1" * 32


@pytest.mark.shows("ReusedJobId")
def test_an_answer_names_the_job_whose_stems_were_copied(server):
    """JSON, and XML on request, name it; a vendor's XML does not."""
    job = server.client.post("/jobs", submission()).text("JobsDetail/JobId")
    server.store.attempts.succeed(
        server.store.attempts.claim("w", [0]), replace(Result((), {}), reused=ORIGIN)
    )
    shown = json.loads(server.client.request("GET", f"/jobs/{job}", headers=JSON).body)
    assert ORIGIN == shown["JobsDetail"][0]["ReusedJobId"]
    assert ORIGIN == server.client.get(f"/jobs/{job}", additions="1").text("JobsDetail/ReusedJobId")
    assert ORIGIN.encode() not in server.client.get(f"/jobs/{job}").body


def test_who_gets_copies(serve):
    """The setting says it for all, an entry of a credential for its jobs."""
    other = Credential(secret_id="AKIDOTHER", secret_key="k" * 20, reuse=False)
    server = serve(credentials=(CREDENTIAL, other), reuse=True)
    clients = (server.client, Client(server.port, secret_id="AKIDOTHER", secret_key="k" * 20))
    ids = [each.post("/jobs", submission()).text("JobsDetail/JobId") for each in clients]
    assert [True, False] == [server.store.jobs.find(job).spec.reuse for job in ids]
