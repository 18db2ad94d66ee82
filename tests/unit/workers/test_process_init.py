"""What a process of the pool does before its first job."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

from stemline.separation.errors import WeightsMissing
from stemline.workers import process_init
from tests.support.logs import captured_logs


def test_a_model_that_cannot_be_loaded_keeps_no_other_from_being_loaded() -> None:
    """Whatever the error is, it is logged with the model, and the thread goes on with the next one."""
    errors = {"2stems": WeightsMissing("gone"), "4stems": RuntimeError("whatever")}

    def engine(model: str, _version: str | None = None) -> Any:
        if model in errors:
            raise errors[model]
        return SimpleNamespace(device="cpu")

    options = SimpleNamespace(preload_models=("2stems", "4stems", "5stems"))
    context: Any = SimpleNamespace(settings=SimpleNamespace(engine=options), engine=engine)
    with captured_logs() as lines:
        process_init.preload(context)
    assert [
        ("model.not_loaded", "2stems", "WeightsMissing"),
        ("model.not_loaded", "4stems", "RuntimeError"),
        ("model.loaded", "5stems", None),
    ] == [(line["event"], line["model"], line.get("error")) for line in lines]


def test_a_worker_that_cannot_import_what_jobs_need_is_ended(monkeypatch) -> None:
    """It would take wake-ups that other workers could use; a library of the system may be missing too."""
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *values: ended.append(values))

    def context() -> Any:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    with captured_logs() as lines:
        process_init.prepare(context, worker_pid=17)
    assert [(17, signal.SIGTERM)] == ended
    assert [("worker.cannot_import", "critical")] == [(line["event"], line["log_level"]) for line in lines]
