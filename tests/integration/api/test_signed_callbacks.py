"""What a submission keeps of its credential for the signature of its callback."""

from __future__ import annotations

import base64

import pytest

from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL
from stemline.testing.client import Client, submission

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()


@pytest.mark.parametrize("retried", [False, True])
def test_a_job_knows_whether_its_callback_is_to_be_signed(serve, retried: bool):
    """Once accepted with webhook secrets, its callback needs them, also if the credential is removed."""
    signing = Credential(secret_id="AKIDSIGNING", secret_key="k" * 20, webhook_secrets=(SECRET,))
    server = serve(credentials=(CREDENTIAL, signing))
    found = []
    for client in (server.client, Client(server.port, secret_id="AKIDSIGNING", secret_key="k" * 20)):
        job = client.post("/jobs", submission()).text("JobsDetail/JobId")
        if retried:
            server.store.jobs.cancel(server.store.jobs.find(job).spec.tenant, [job])
            job = client.post(f"/jobs/{job}/retry", "").text("JobsDetail/JobId")
        found.append(server.store.jobs.find(job).spec)
    assert [False, True] == [spec.signed for spec in found]
