"""Batches and usage: what is sent, and what is read."""

from __future__ import annotations

import json
from datetime import date

import pytest

from stemline.client.batches import Row, create_batch, read_batch
from stemline.client.submission import Submission
from stemline.client.usage import usage
from stemline.jobs.job import JobSpec
from stemline.jobs.tenant import Tenant
from stemline.wire.batch_request import first_line, read_row
from stemline.wire.batch_request import read_batch as read_request
from stemline.wire.job_request import job_specs

TENANT = Tenant("media-1250000000", "ap-chongqing")


def common_of(line: bytes) -> tuple[str, JobSpec]:
    """The name of a batch and what its jobs have in common, as the service reads them."""
    own, fields = read_request(first_line(line))
    (spec,) = job_specs(fields, TENANT, lambda _: None)
    return own["name"], spec


def test_a_batch_is_what_the_service_reads() -> None:
    """The first line says what all jobs have in common; each further one what its job has of its own."""
    rows: list[Row | str] = ["in/1.mp3", Row("in/日本.mp3", user_data="7", output={"voice": "out/7.mp3"})]
    common = Submission("", mode="IsAudio", codec="mp3", level=2, user_data="u", output="o/${jobid}.${ext}")
    call = create_batch(rows, common, TENANT.bucket, TENANT.region, name="night", key="k")
    assert "application/x-ndjson" == call.content_type
    first, one, two = call.content.splitlines()
    name, spec = common_of(first)
    assert ("night", 2, "u", "mp3") == (name, spec.level, spec.user_data, spec.codec)
    assert ("in/1.mp3", None, ()) == (
        read_row(one, spec).object,
        read_row(one, spec).user_data,
        read_row(one, spec).outputs,
    )
    row = read_row(two, spec)
    assert ("in/日本.mp3", "7", {"out/7.mp3"}) == (row.object, row.user_data, set(dict(row.outputs).values()))


def test_the_rows_of_a_manifest_stay_in_the_bucket() -> None:
    """With the key of a manifest the request is an ordinary body that names it."""
    call = create_batch([], Submission(""), "b", "r", manifest="lists/night.ndjson")
    assert call.body is not None
    assert ({"Object": "lists/night.ndjson"}, b"") == (call.body["Manifest"], call.content)
    assert "Input" not in call.body


def test_a_batch_that_cannot_be_meant_is_refused() -> None:
    """No rows, rows beside a manifest, unknown stems and an audio track are errors before a request."""
    for rows, more in ([], {}), (["a"], {"manifest": "m"}), ([Row("a", output={"x": "y"})], {}):
        with pytest.raises(ValueError, match=r"rows or a manifest|a stem is one of"):
            create_batch(rows, Submission(""), "b", "r", **more)
    with pytest.raises(ValueError, match="audio track"):
        create_batch(["a"], Submission("", audio_track="2"), "b", "r")


def test_a_cancelled_batch_has_ended_when_nothing_runs() -> None:
    """The counts decide: rows that still run keep a cancelled batch from its end."""
    raw = {"BatchId": "b1", "State": "Cancel", "RowCount": "2", "RunningCount": "1", "CancelCount": "1"}
    assert not read_batch(raw).has_ended
    assert read_batch({**raw, "RunningCount": "0"}).has_ended
    assert not read_batch({**raw, "State": "Active", "RunningCount": "0"}).has_ended


def test_usage_is_read_with_its_devices() -> None:
    """Numbers and days of an answer are values."""
    call = usage(first=date(2026, 11, 1), last=date(2026, 11, 30))
    assert {"from": "2026-11-01", "to": "2026-11-30"} == call.params
    row = {"Date": "2026-11-02", "Credential": "id", "JobCount": "3", "AudioSeconds": "61.500"}
    (found,) = call.read({"UsageList": [{**row, "Work": [{"Device": "cpu", "Seconds": "2.500"}]}]})
    assert (date(2026, 11, 2), 3, 61.5, {"cpu": 2.5}) == (
        found.day,
        found.jobs,
        found.audio_s,
        found.work_s,
    )
    assert json.loads(json.dumps(found.raw))["JobCount"] == "3"
