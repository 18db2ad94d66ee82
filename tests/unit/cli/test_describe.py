"""What is printed of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stemline.cli.describe import describe_job
from stemline.cli.jobs import _row
from stemline.cli.output import local_time
from stemline.client.job import Execution, read_job
from stemline.wire.times import format_time

NOW = datetime.now(UTC)
LATER, LATEST, EARLIER = NOW + timedelta(hours=1), NOW + timedelta(hours=2), NOW - timedelta(hours=1)


def described(**raw: Any) -> str:
    """The lines about a job of an answer."""
    times = {name: format_time(round(at.timestamp() * 1e6)) for name, at in raw.items() if name in TIMES}
    job = read_job({"JobId": "j1", "State": "Submitted", **raw, **times})
    return "\n".join([*describe_job(job, Execution(0, "", ""), ()), *_row(job)])


TIMES = {"NotBefore", "Deadline", "StartTime", "EndTime", "CreationTime"}


def test_what_a_job_waits_for_is_shown() -> None:
    """NotBefore, Deadline and Timeout are shown; the list says why a job has not begun."""
    text = described(NotBefore=LATER, Deadline=LATEST, Timeout="99")
    assert f"not before {local_time(LATER)}  (it waits until then)" in text
    assert f"deadline   {local_time(LATEST)}  (cancelled if it still waits then)" in text
    assert "timeout    1 min 39 s at most for a run" in text
    assert text.splitlines()[-1] == f"not before {local_time(LATER)}"


def test_a_job_that_no_worker_takes_says_what_to_do() -> None:
    """The reason is there once, with what to do, and the list has it in place of a message."""
    reason = "No worker that separates is running."
    *lines, in_list = described(WaitReason=reason, Message=reason).splitlines()
    assert reason == in_list
    assert [f"  waits      {reason}"] == [line for line in lines if reason in line]
    assert "what to do start a worker that takes it" in "\n".join(lines)


@pytest.mark.parametrize(
    "raw",
    [
        {"NotBefore": EARLIER, "Deadline": LATEST, "StartTime": EARLIER, "State": "Running"},
        {"NotBefore": LATER, "Deadline": LATEST, "EndTime": NOW, "State": "Cancel"},
    ],
)
def test_nothing_waits_once_it_has_begun_or_ended(raw: dict[str, Any]) -> None:
    """Times that have had their effect, or never will, are shown without a remark."""
    text = described(**raw)
    assert "not before" in text
    assert "deadline" in text
    assert "waits" not in text


@pytest.mark.parametrize(
    "raw",
    [
        {"Model": "mine", "State": "Success"},
        {"Operation": {"VoiceSeparate": {"AudioMode": "IsAudio", "Model": "mine"}}},
    ],
)
def test_the_model_is_shown(raw: dict[str, Any]) -> None:
    """The model that was asked for, and later the one that has separated, is shown."""
    assert "model      mine" in described(**raw)


@pytest.mark.parametrize("state", ["Submitted", "Pause", "Running", "Success", "Failed", "Cancel"])
def test_a_paused_job_says_what_starts_it_again(state: str) -> None:
    """Only the state that somebody must end is shown with what ends it."""
    text = described(State=state)
    assert ("stemline resume` starts the queue again" in text) == (state == "Pause")
