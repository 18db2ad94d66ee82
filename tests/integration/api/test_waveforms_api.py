"""Waveforms over HTTP."""

from __future__ import annotations

import base64
import json

import pytest

from stemline.jobs.job import Waveform
from stemline.testing.api_server import ApiServer
from stemline.testing.client import Client, submission
from stemline.testing.samples import job_result

_PAIRS = base64.b64encode(bytes(range(256)) * 8).decode()
_DRAWN = (Waveform("Mix", 512, _PAIRS), Waveform("AuObject", 512, "gH8="))


def _finished(server: ApiServer) -> str:
    """Submit a job, end it as a worker does, and return its id."""
    job = server.client.post("/jobs", submission()).text("JobsDetail/JobId") or ""
    claimed = server.store.attempts.claim("w", [0])
    assert claimed is not None
    server.store.attempts.succeed(claimed, job_result(), _DRAWN)
    return job


@pytest.mark.shows("GET /jobs/{job_id}/waveform", "Samplerate, Waveform, Name, SamplesPerPair, Pairs")
def test_waveforms_of_a_job(server: ApiServer) -> None:
    """The waveforms that the worker kept are answered in JSON and XML, and are not part of the job itself."""
    job = _finished(server)
    headers = {"Accept": "application/json"}
    answer = json.loads(server.client.request("GET", f"/jobs/{job}/waveform", headers=headers).body)
    assert answer["JobId"] == job
    assert answer["Samplerate"] == "44100"
    expected = [
        {"Name": one.name, "SamplesPerPair": str(one.samples_per_pair), "Pairs": one.data} for one in _DRAWN
    ]
    assert answer["Waveform"] == expected
    assert server.client.get(f"/jobs/{job}/waveform").texts("Waveform/Name") == ["Mix", "AuObject"]
    assert _PAIRS not in server.client.request("GET", f"/jobs/{job}", headers=headers).body.decode()


@pytest.mark.shows("GET /jobs/{job_id}/waveform")
def test_no_waveforms(client: Client) -> None:
    """A waiting job has none; a job that the tenant does not have is an error; the request must be signed."""
    job = client.post("/jobs", submission()).text("JobsDetail/JobId")
    assert client.get(f"/jobs/{job}/waveform").texts("Waveform/Name") == []
    assert client.get(f"/jobs/{'j' + '0' * 32}/waveform").status == 404
    assert client.request("GET", f"/jobs/{job}/waveform", signed=False).status == 403
