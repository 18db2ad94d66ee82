"""The modules of the console without a browser, by node: types, lint, unit tests, vendored libraries."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stemline.wire.signature import sign
from stemline.wire.signed_request import SignedRequest
from tests.conftest import missing

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


def failure_of(*command: str) -> str:
    """Run a command in this folder; return what it says if it fails, else an empty text."""
    if shutil.which(command[0]) is None:
        missing(command[0])
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=240, check=False)
    return (done.stdout[-4000:] + done.stderr[-4000:] or "failed") if done.returncode else ""


def test_units() -> None:
    """The modules keep the promises of their unit tests."""
    units = sorted(map(str, HERE.glob("unit/*.test.js")))
    assert units
    assert "" == failure_of("node", "--test", "--test-reporter=spec", *units)


def test_vectors() -> None:
    """The requests that the unit tests sign have the signatures of the service's own signer."""
    vectors = json.loads((HERE / "unit" / "vectors.json").read_text())
    assert 3 == len(vectors)
    for vector in vectors:
        headers = [(name, value.encode()) for name, value in vector["headers"].items()]
        request = SignedRequest(vector["method"], vector["path"], [*vector["query"].items()], headers)
        signed = sign(
            request,
            secret_id="AKID",
            secret_key=vector["secretKey"],
            start=1_790_000_000 - 60,
            end=1_790_000_000 + 600,
            headers=vector["headers"],
        )
        assert vector["authorization"] == signed


@pytest.fixture(scope="module")
def tools() -> None:
    """The pinned development tools."""
    assert "" == failure_of("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("script", ["types", "lint", "vendor"])
def test_tools_find_nothing(script: str) -> None:
    """Types and lint are clean, and the vendored libraries are those of the pinned packages."""
    assert "" == failure_of("npm", "run", "--silent", script)
