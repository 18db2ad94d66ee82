"""Loggers that import structlog late."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from stemline.separation.logs import configure_later, get_logger
from tests.support.logs import captured_logs


@pytest.mark.parametrize("level", ["info", "warning"])
def test_lines_reach_structlog(level: str) -> None:
    """A line has the event, the level and the keys that it was written with."""
    with captured_logs() as lines:
        getattr(get_logger("a"), level)("engine.loaded", model="2stems")
    assert [{"event": "engine.loaded", "log_level": level, "model": "2stems"}] == lines


def test_the_first_line_configures() -> None:
    """Lines below the least level configure nothing; the first one of it does, once."""
    configured: list[str] = []
    with captured_logs() as lines:
        configure_later(lambda: configured.append("now"), least=logging.WARNING)
        get_logger("a").info("engine.loaded")
        assert not configured
        get_logger("a").warning("graph.not_cached")
        get_logger("b").warning("graph.not_cached")
    assert ["now"] == configured
    assert ["graph.not_cached"] * 2 == [line["event"] for line in lines]
    configure_later(None)


def test_a_separation_imports_no_structlog() -> None:
    """What `stemline separate` imports to separate a file leaves out structlog, asyncio and lock files."""
    program = (
        "import sys, stemline.cli.main, stemline.cli.separate, stemline.models.loading\n"
        "import stemline.models.graph_cache, stemline.separation.onnx_engine, stemline.separation.pipeline\n"
        "print([each for each in ('structlog', 'asyncio', 'filelock', 'pydantic') if each in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True
    )
    assert "[]" == done.stdout.strip()
