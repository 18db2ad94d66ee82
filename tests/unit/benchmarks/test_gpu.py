"""The measurement of a GPU, on stand-ins for a card and on this processor."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu import samples_step, songs, steps
from benchmarks.gpu.__main__ import main, report, run_step, unpack
from benchmarks.gpu.plan import BUDGET_S, RESERVE_S, STEPS
from benchmarks.report import REPOSITORY
from stemline.testing.processes import eventually
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
    monkeypatch.setattr(songs, "SLACKS", (0.01,))
    return stand_in


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] * (name in {"host", "busy"}))
        for name in STEPS
        if name not in {"songs", "device_only", "out_of_memory"}
    ],
)
def test_a_step_has_a_result_on_a_card(name: str, sessions: Sessions) -> None:
    """Each step that needs CUDA alone runs on the stand-in, and its result can be reported."""
    result = json.loads(json.dumps(steps.RUN[name]("cuda")))
    made = report({name: result}, "cuda")
    assert made.figures or made.tables
    assert not made.notes


def test_the_steps_that_matter_come_first_and_have_their_time() -> None:
    """Those that no card is needed for are last; whatever happens, whole songs are measured in the budget."""
    assert list(steps.RUN) == list(STEPS)
    needed = [step.needs_card for step in STEPS.values()]
    assert needed == sorted(needed, reverse=True)
    assert [name for name, step in STEPS.items() if not step.needs_card] == ["busy", "host"]
    first = list(STEPS)[: list(STEPS).index("songs") + 1]
    assert first == ["versions", "parity", "samples", "batch_sizes", "songs"]
    assert sum(STEPS[name].limit_s for name in first) <= BUDGET_S - RESERVE_S
    assert BUDGET_S == 8 * 60


def test_the_words_of_a_full_card_are_kept(sessions: Sessions) -> None:
    """What CUDA says when memory runs out is in the result."""

    def fail(_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail
    facts = steps.out_of_memory("cuda")["facts"]
    assert (facts["words"], facts["type"]) == ("CUDA failure 2: out of memory", "RuntimeError")


def test_a_card_that_cannot_be_used_has_no_words_of_a_full_one(sessions: Sessions) -> None:
    """What is said when the session is opened is the step's error."""
    sessions.fail_opening = RuntimeError("no driver")
    with pytest.raises(RuntimeError, match="no driver"):
        steps.out_of_memory("cuda")


def test_the_first_step_says_all_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights and card are looked for independently of each other."""
    monkeypatch.setenv("STEMLINE_MODELS_DIR", str(tmp_path))
    missing = steps.RUN["versions"]("cuda")["facts"]["missing"]
    assert f"The weights of 2stems are not in {tmp_path}" in missing
    assert "this ONNX Runtime has no CUDA" in missing


def test_every_size_has_a_session_of_its_own(sessions: Sessions) -> None:
    """The time of a batch is not that of planning it anew after another size."""
    steps.batch_sizes("cuda")
    assert [[shape[0] for shape in seen] for seen in sessions.cuda_shapes] == [[1], [2], [4], [8], [16], [32]]


def test_a_step_that_fails_or_hangs_is_a_line_of_the_report() -> None:
    """A step without a card, or without time, says so and ends no other."""
    failed = run_step("size_change", "cuda", limit_s=60, paths=[])
    assert "this ONNX Runtime has no CUDA" in failed["error"]
    late = run_step("versions", "cpu", limit_s=0.01, paths=[])
    assert late["error"] == "not done within 0 s"
    assert len(report({"size_change": failed, "versions": late}, "cuda").notes) == 2


STEP = """
import json, os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
print(json.dumps({"figures": {"pid": ("pid", "number", [child.pid])}}), flush=True)
if sys.argv[2] == "cuda":
    os.kill(os.getpid(), 11)
print("{")
time.sleep(600)
"""


@pytest.mark.parametrize(("device", "reason"), [("cpu", "not done within 2 s"), ("cuda", "exit status -11")])
def test_what_a_step_found_before_it_crashed_or_hung_stays(
    device: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last whole result is in the report, with the reason; nothing that it started is left."""
    (tmp_path / "benchmarks" / "gpu").mkdir(parents=True)
    (tmp_path / "benchmarks" / "gpu" / "steps.py").write_text(STEP)
    monkeypatch.setattr("benchmarks.gpu.__main__.REPOSITORY", tmp_path)
    result = run_step("songs", device, limit_s=2, paths=[])
    made = report({"songs": result}, device)
    assert [f"Whole songs: {reason}"] == made.notes
    pid = int(made.figures["songs.pid"].values[0])
    eventually(lambda: not Path(f"/proc/{pid}").exists(), 10, "the end of what the step has started")


def test_the_program_ends_within_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that hang get no more than what is left, and the report is written."""
    (tmp_path / "benchmarks" / "gpu").mkdir(parents=True)
    (tmp_path / "benchmarks" / "gpu" / "steps.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr("benchmarks.gpu.__main__.REPOSITORY", tmp_path)
    limits = list[float]()

    def record(name: str, device: str, *, limit_s: float, paths: list[Path]) -> dict[str, object]:
        limits.append(limit_s)
        return run_step(name, device, limit_s=limit_s, paths=paths)

    monkeypatch.setattr("benchmarks.gpu.__main__.run_step", record)
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--device", "cpu", "--budget-s", "13", "--output", str(tmp_path)]
    )
    main()
    notes = json.loads((tmp_path / "gpu-cpu.json").read_text())["notes"]
    assert len(notes) == len(STEPS)
    assert len(limits) == 1
    assert limits[0] <= 3
    assert notes[1] == "Equality with the processor: no time was left"


def wheel(folder: Path, name: str, files: dict[str, str]) -> None:
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)


def test_wheels_come_before_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those with files in folders of their own; a folder without wheels is refused."""
    with pytest.raises(SystemExit, match="has no wheels"):
        unpack(tmp_path, tmp_path / "to")
    wheel(tmp_path, "plain", {"numpy/__init__.py": "at = 'the wheel'"})
    wheel(tmp_path, "data", {"data-1.data/purelib/av.py": "", "data-1.data/platlib/soxr.py": ""})
    paths = unpack(tmp_path, tmp_path / "to")
    (tmp_path / "benchmarks" / "gpu").mkdir(parents=True)
    (tmp_path / "benchmarks" / "gpu" / "steps.py").write_text(
        "import av, json, numpy, soxr\nprint(json.dumps({'facts': {'numpy': numpy.at}}))\n"
    )
    monkeypatch.setattr("benchmarks.gpu.__main__.REPOSITORY", tmp_path)
    assert run_step("versions", "cpu", limit_s=60, paths=paths) == {"facts": {"numpy": "the wheel"}}


def test_the_program_runs_on_a_processor(tmp_path: Path) -> None:
    """The command writes its files; it needs no package itself, so that it can say what a step lacks."""
    command = [sys.executable, "-S", "-m", "benchmarks.gpu", "--device", "cpu", "--output", str(tmp_path)]
    command += ["--budget-s", "60", "--only", "versions,transform"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200, cwd=REPOSITORY)
    written = json.loads((tmp_path / "gpu-cpu.json").read_text())
    assert "transform.forward_host" in written["figures"]
    assert "versions" in written["tables"]
    assert "| forward, host |" in done.stdout
