"""What heartbeats, spans and the result say of each stage of an attempt."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.separation.pipeline import Report
from stemline.storage.download import Downloaded
from stemline.workers import attempt
from stemline.workers.lease_keeper import LeaseKeeper
from stemline.workers.outcome import Outcome


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> list[LeaseKeeper]:
    """The lease of the attempt that the test makes, from which heartbeats take what they report."""
    kept: list[LeaseKeeper] = []

    def noted(*args: Any) -> LeaseKeeper:
        kept.append(LeaseKeeper(*args))
        return kept[0]

    monkeypatch.setattr(attempt, "LeaseKeeper", noted)
    return kept


def test_heartbeats_follow_the_stages(make: Any, lease: list[LeaseKeeper]) -> None:
    """Stage, progress and device are those of the moment, from the download to the last upload."""
    bench, seen = make(), dict[str, tuple[Any, ...]]()

    def note(name: str) -> None:
        seen[name] = (lease[0].stage, lease[0].progress, lease[0].device)

    def download(*_: Any, **__: Any) -> Downloaded:
        note("download")
        return Downloaded(4_321, '"e"')

    def done(engine: Any, source: Any, outputs: Any, *, progress: Any, **_: Any) -> Report:
        note("begin")
        for share in (0.0, 0.5, 1.0):
            progress(share)
            note(f"share {share}")
        return bench._separate(engine, source, outputs)

    send = bench.buckets.results["send"]

    def sent(*args: Any, **options: Any) -> Any:
        note("send")
        return send(*args, **options)

    bench.buckets.results |= {"download": download, "send": sent}
    bench.engine.results["separate_file"] = done
    assert Outcome.SUCCESS == bench.run().outcome
    assert {
        "download": ("download", 0, "test"),
        "begin": ("decode", 5, "test"),
        "share 0.0": ("decode", 5, "test"),
        "share 0.5": ("separate", 50, "test"),
        "share 1.0": ("encode", 95, "test"),
        "send": ("upload", 95, "test"),
    } == seen


def test_each_call_names_what_the_job_names(make: Any, lease: list[LeaseKeeper]) -> None:
    """Source, target, level, stems and what stops a call are those of the job and its lease."""
    bench = make()
    asked: list[tuple[str, str]] = []

    def engine(name: str, version: str) -> Any:
        asked.append((name, version))
        return SimpleNamespace(device="test")

    bench.context.engine = engine
    assert Outcome.SUCCESS == bench.run().outcome
    spec = bench.job.spec
    (tenant, key, path), options = bench.buckets.arguments("download")
    assert (spec.tenant, spec.input_object, "source") == (tenant, key, path.name)
    assert lease[0].should_stop == options["cancelled"]
    (region, bucket, _), options = bench.buckets.arguments("open")
    assert (spec.output.region, spec.output.bucket) == (region, bucket)
    assert lease[0].should_stop == options["cancelled"]
    (_, source, outputs), options = bench.engine.arguments("separate_file")
    assert (path, spec.level) == (source, options["level"])
    assert {path.parent} == {each.path.parent for each in outputs.values()}
    sent = [args[0] for name, args, _ in bench.buckets.calls if name == "send"]
    completed = [args[0] for name, args, _ in bench.buckets.calls if name == "complete"]
    assert [each.key for each in sent] == [each.key for each in completed]
    assert [("2stems", asked[0][1])] == asked


def test_the_result_has_what_was_separated(make: Any) -> None:
    """Length, size of the source and model are recorded, by which usage is counted."""
    bench = make()
    bench.buckets.results["download"] = lambda *_, **__: Downloaded(4_321, '"e"')

    def done(engine: Any, source: Any, outputs: Any, **_: Any) -> Report:
        made = bench._separate(engine, source, outputs)
        return Report(12.5, 44_100, {"total": 1.0}, "test", made.stems)

    bench.engine.results["separate_file"] = done
    bench.run()
    (_, result, _), _ = bench.store.arguments("succeed")
    assert (12.5, 4_321, "2stems") == (result.audio_s, result.source_bytes, result.model)
    assert [""] * 2 == [file.levels.doubt for file in result.files]


def test_each_stage_is_a_span(make: Any) -> None:
    """Download and separation are measured with what they moved and made."""
    bench, spans = make(), list[tuple[str, dict[str, Any]]]()

    class Tracer:
        @contextmanager
        def span(self, name: str) -> Any:
            attributes: dict[str, Any] = {}
            spans.append((name, attributes))
            yield SimpleNamespace(set_attributes=attributes.update, is_recording=lambda: True)

    bench.context.tracer = Tracer()
    bench.run()
    assert [
        ("download", {"stemline.bytes": 100}),
        ("separate", {"stemline.audio_s": 1.0, "stemline.device": "test"}),
        ("upload", {}),
    ] == spans
