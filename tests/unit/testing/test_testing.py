"""The tools that users' tests may import: what they need, and that they work without a server."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stemline.jobs.states import State
from stemline.testing import FixedClock, InMemoryStore
from stemline.testing.api_server import ApiServer, api_settings, finish
from stemline.testing.client import submission
from tests.support import snippets

EXTRAS = [
    ("api_server", "uvicorn", "api"),
    ("otlp_collector", "opentelemetry.proto", "otel"),
    ("song", "soxr", "demo"),
    ("voice", "espeakng_loader", "demo"),
]


@pytest.mark.parametrize(("module", "package", "extra"), EXTRAS)
def test_a_missing_extra_is_named(module: str, package: str, extra: str) -> None:
    """A module whose packages are missing says which extra brings them, and only that module does."""
    program = (
        f"import sys; sys.modules[{package!r}] = None; import stemline.testing.receiver\n"
        f"try:\n    import stemline.testing.{module}\nexcept ImportError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"needs the extra {extra}" in said


def test_the_store_needs_no_extra() -> None:
    """The in-memory store is imported without redis-py's server, Celery, HTTP or audio packages."""
    program = (
        "import sys\n"
        "for name in ('celery', 'kombu', 'uvicorn', 'numpy', 'av', 'httpcore'):\n"
        "    sys.modules[name] = None\n"
        "import stemline.testing as t; print(t.InMemoryStore(clock=t.FixedClock()).now())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert str(FixedClock().now) == said.strip()


def test_the_api_on_an_in_memory_store() -> None:
    """An application can be tested against the real API without any server: submit, finish, query."""
    with ApiServer(api_settings(), InMemoryStore()) as server:
        answer = server.client.post("/jobs", submission())
        assert 200 == answer.status
        job_id = answer.text("JobsDetail/JobId")
        assert job_id is not None
        finish(server.store, job_id)
        shown = server.client.get(f"/jobs/{job_id}")
    assert State.SUCCESS == shown.text("JobsDetail/State")


def test_the_example_of_the_page() -> None:
    """The program of docs/testing.md runs as it is printed."""
    (program,) = snippets.run_by("test_testing::test_the_example_of_the_page")
    assert "assert " in program
    exec(compile(program, "docs/testing.md", "exec"), {})
