"""What is removed after an attempt, and how long a bucket may take to let go."""

from __future__ import annotations

from typing import Any

import pytest

from stemline.jobs.errors import LeaseLost, TargetDenied, TargetUnavailable
from stemline.storage import Upload
from stemline.workers.cleanup import BUDGET_S, cleanup
from tests.support.attempts import Fake
from tests.support.logs import captured_logs

JOB_ID = "j" + "1" * 32


def upload(name: str, *, is_open: bool = True) -> Upload:
    upload_id = f"id of {name}" if is_open else ""
    return Upload(f"region of {name}", f"bucket of {name}", f"out/{name}", upload_id, JOB_ID, 3, 1, "")


class Buckets(Fake):
    """Buckets whose calls take the time that a test says, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes_s: float = 0.0) -> None:
        super().__init__()
        vars(self)["stems"] = self
        self.now = 1_000.0
        monkeypatch.setattr("stemline.workers.cleanup.time.monotonic", lambda: self.now)
        self.results |= {"abort": self._pass, "delete_own": self._pass}
        self.takes_s = takes_s

    def _pass(self, *_: Any, **__: Any) -> None:
        self.now += self.takes_s


def clean(buckets: Any, *uploads: Upload, **options: Any) -> list[Upload]:
    return cleanup(buckets, uploads, job_id=JOB_ID, token=3, **options)


def test_each_upload_is_aborted_and_its_object_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are deleted by job and token, under the lease; the time that is left goes down with each."""
    buckets = Buckets(monkeypatch, takes_s=0.5)
    voice, background = upload("voice"), upload("background")

    def expires_at() -> float:
        return 7.0

    assert [] == clean(buckets, voice, background, expires_at=expires_at)
    options = {"job_id": JOB_ID, "token": 3, "expires_at": expires_at}
    assert [
        ("abort", (voice,), {"budget_s": 2.0}),
        (
            "delete_own",
            ("region of voice", "bucket of voice", "out/voice"),
            {**options, "budget_s": 1.5},
        ),
        ("abort", (background,), {"budget_s": 1.0}),
        (
            "delete_own",
            ("region of background", "bucket of background", "out/background"),
            {**options, "budget_s": 0.5},
        ),
    ] == buckets.calls
    assert 2.0 == BUDGET_S


def test_an_upload_that_was_completed_has_only_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to abort, and without an attempt there is no lease."""
    buckets = Buckets(monkeypatch)
    assert [] == clean(buckets, upload("voice", is_open=False))
    ((name, _, options),) = buckets.calls
    assert ("delete_own", None) == (name, options["expires_at"])


@pytest.mark.parametrize("takes_s", [1.0, 5.0])
def test_what_the_time_does_not_suffice_for_is_left(monkeypatch: pytest.MonkeyPatch, takes_s: float) -> None:
    """A slow bucket delays the end of a job by its budget alone; sweeps remove the rest."""
    buckets = Buckets(monkeypatch, takes_s=takes_s)
    voice, bass, drums = upload("voice"), upload("bass"), upload("drums")
    assert [bass, drums] == clean(buckets, voice, bass, drums)
    assert ["abort", "delete_own"] == buckets.names()
    assert max(0.0, 2.0 - takes_s) == buckets.calls[1][2]["budget_s"]


def test_half_a_second_is_enough_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload is left out only when no time remains at all."""
    buckets = Buckets(monkeypatch, takes_s=0.75)
    assert [] == clean(buckets, upload("voice"), upload("bass"))
    assert 4 == len(buckets.calls)


@pytest.mark.parametrize("error", [TargetDenied("It refuses."), TargetUnavailable("It is down.")])
@pytest.mark.parametrize("call", ["abort", "delete_own"])
def test_a_bucket_that_refuses_keeps_no_other_from_letting_go(
    monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    """What it refused is left, named in the log with the reason; the next upload is removed."""
    buckets = Buckets(monkeypatch)
    buckets.errors[call] = [error]
    voice, bass = upload("voice"), upload("bass")
    with captured_logs() as lines:
        assert [voice] == clean(buckets, voice, bass)
    where = {"bucket": "bucket of voice", "key": "out/voice"}
    assert [{"event": "cleanup.failed", "log_level": "warning", **where, "reason": str(error)}] == lines
    assert ("delete_own", ("region of bass", "bucket of bass", "out/bass")) == buckets.calls[-1][:2]


def test_a_lost_lease_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the job now removes what is left."""
    buckets = Buckets(monkeypatch)
    buckets.errors["abort"] = [LeaseLost()]
    with pytest.raises(LeaseLost):
        clean(buckets, upload("voice"), upload("bass"))
    assert ["abort"] == buckets.names()
