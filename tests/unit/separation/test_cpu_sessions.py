"""Which sessions an engine on processors opens, on a stand-in for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemline.models.catalogue import model_named
from stemline.separation import runners
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.sessions import Session as RealSession
from tests.support.networks import allocating

MB = 1_000_000
SEGMENT = np.zeros((2, 64, 1024), np.float32)


class Session:
    """Notes how many threads each session has, and which of them runs."""

    opened: list[int]
    ran: list[int]

    def __init__(self, _name: str, _graph: bytes, _device: str, *, threads: int = 1) -> None:
        self._threads = threads
        self.opened.append(threads)

    def run(self, magnitude: np.ndarray, interruption: object = None) -> list[np.ndarray]:
        self.ran.append(self._threads)
        return [magnitude, magnitude]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> OnnxEngine:
    """An engine on four processors."""
    Session.opened, Session.ran = [], []
    monkeypatch.setattr(runners, "Session", Session)
    return OnnxEngine(model_named("2stems"), lambda *, polyphase: b"", device="cpu", threads=4)


def test_one_short_clip_opens_one_session(engine: OnnxEngine) -> None:
    """A segment that is alone runs in the session that is open: to open a wide one takes longer."""
    engine.masks(SEGMENT, alone=True)
    assert Session.opened == [1] == Session.ran


def test_short_clips_run_on_all_processors(engine: OnnxEngine) -> None:
    """From the second short clip on, all processors work on each; the wide session is opened once."""
    for _ in range(3):
        engine.masks(SEGMENT, alone=True)
    engine.masks(SEGMENT)
    assert Session.opened == [1, 4]
    assert Session.ran == [1, 4, 4, 1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
def test_later_segments_take_no_more_memory_than_the_first(tmp_path: Path) -> None:
    """ONNX Runtime would hold a second block for all tensors of a run from the second one on."""
    session = RealSession("large", allocating(tmp_path / "net.onnx", (2, 1_000), (1.0,), 40), "cpu")

    def taken() -> int:
        session.run(np.ones((1, 2, 1_000), np.float32))
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    first = taken()
    assert max(taken() for _ in range(3)) - first < 10 * MB
