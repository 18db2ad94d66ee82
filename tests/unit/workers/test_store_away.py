"""Every call of an attempt finds the store unavailable once, on every way through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from stemline.jobs.errors import SourceNotFound, SourceUnavailable, StoreUnavailable
from stemline.jobs.store.values import Reuse
from stemline.storage import ObjectHead, TransferCancelled
from stemline.testing.samples import finished_job, job_result
from stemline.workers import reuse
from stemline.workers.outcome import Outcome
from tests.support.attempts import Bench

ORIGIN = finished_job("j" + "2" * 32)


def separated(bench: Bench) -> None:
    """No equal job is known."""
    bench.store.results["reuse"] = lambda *_, **__: Reuse()


def copied(bench: Bench) -> None:
    """The stems of an equal job are there."""
    bench.store.results |= {
        "reuse": lambda *_, **__: Reuse(done=ORIGIN.id),
        "find": lambda _: ORIGIN,
        "waveforms": lambda *_: (),
    }
    sizes = {file.key: file.size for file in job_result().files}
    bench.buckets.results |= {
        "head": lambda region, bucket, key: ObjectHead(sizes[key], "e", "", ORIGIN.id, 1),
        "copy": lambda upload, *_, **__: replace(upload, md5="0" * 32),
    }


def failing(error: Exception) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        separated(bench)
        bench.buckets.errors["download"] = [error]

    return prepare


WAYS = {
    "separated": (separated, Outcome.SUCCESS, {"reuse", "register_uploads", "succeed"}),
    "copied": (copied, Outcome.SUCCESS, {"reuse", "find", "register_uploads", "waveforms", "succeed"}),
    "failed": (failing(SourceNotFound()), Outcome.FAILED, {"reuse", "register_uploads", "fail"}),
    "put off": (
        failing(SourceUnavailable("away")),
        Outcome.POSTPONED,
        {"reuse", "register_uploads", "release"},
    ),
    "cancelled": (
        failing(TransferCancelled()),
        Outcome.CANCELLED,
        {"reuse", "register_uploads", "confirm_cancel"},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_call_is_repeated(make, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The attempt ends as it would, whichever of its calls was refused."""
    prepare, outcome, calls = WAYS[way]
    monkeypatch.setattr(reuse, "digest_of", lambda _: "digest")
    for refused in ("", *sorted(calls)):
        bench = make()
        prepare(bench)
        bench.store.errors[refused] = [StoreUnavailable()]
        assert outcome == bench.run().outcome, refused
        assert calls == set(bench.store.names()), refused
        assert [] == bench.store.errors[refused] or not refused
