"""The measurement of a GPU, on stand-ins for a card and on this processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import samples_step, songs, steps
from benchmarks.gpu.__main__ import report, run_step
from tests.support.cuda import Sessions, install


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """A card that works; each measurement is made once."""
    stand_in = Sessions()
    install(monkeypatch, stand_in)
    monkeypatch.setattr(steps, "graph", lambda *, polyphase: b"graph")
    monkeypatch.setattr(steps, "runs_on", lambda _: 1)
    monkeypatch.setattr(samples_step, "samples_graph", lambda: b"graph")
    monkeypatch.setattr(songs, "HOST_S", 0.5)
    monkeypatch.setattr(songs, "SONG_S", 0.5)
    monkeypatch.setattr(songs, "SLACK", 0.01)
    return stand_in


@pytest.mark.parametrize(
    "name",
    [
        "versions",
        "host",
        "busy",
        "samples",
        "parity",
        "batch_sizes",
        "size_change",
        "provider_options",
        "graphs",
    ],
)
def test_a_step_has_a_result_on_a_card(name: str, sessions: Sessions) -> None:
    """Each step that needs CUDA alone runs on the stand-in, and its result can be reported."""
    result = json.loads(json.dumps(steps.STEPS[name].run("cuda")))
    made = report({name: result}, "cuda")
    assert made.figures or made.tables
    assert not made.notes


def test_the_words_of_a_full_card_are_kept(sessions: Sessions) -> None:
    """What CUDA says when memory runs out is in the result."""

    def fail(_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail
    facts = steps.out_of_memory("cuda")["facts"]
    assert (facts["words"], facts["type"]) == ("CUDA failure 2: out of memory", "RuntimeError")


def test_every_size_has_a_session_of_its_own(sessions: Sessions) -> None:
    """The time of a batch is not that of planning it anew after another size."""
    steps.batch_sizes("cuda")
    assert [[shape[0] for shape in seen] for seen in sessions.cuda_shapes] == [[1], [2], [4], [8], [16], [32]]


def test_a_step_that_fails_or_hangs_is_a_line_of_the_report() -> None:
    """A step without a card, or without time, says so and ends no other."""
    failed = run_step("size_change", "cuda", limit_s=60, path=None)
    assert "this ONNX Runtime has no CUDA" in failed["error"]
    late = run_step("versions", "cpu", limit_s=0.01, path=None)
    assert late["error"] == "not done within 0 s"
    assert len(report({"size_change": failed, "versions": late}, "cuda").notes) == 2


def test_the_program_runs_on_a_processor(tmp_path: Path) -> None:
    """The command writes its files, and says which steps were left without time."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--output", str(tmp_path)]
    command += ["--budget-s", "60", "--only", "versions,transform"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    written = json.loads((tmp_path / "gpu-cpu.json").read_text())
    assert "transform.forward_host" in written["figures"]
    assert "versions" in written["tables"]
    assert "| forward, host |" in done.stdout
