"""The programs of docs/sdks.md for the SDKs that this environment has, run as they are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stemline.testing.api_server import ApiServer
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "sdks.md").read_text()


def program(language: str) -> str:
    """The program of the page in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def run(command: list[str], server: ApiServer, folder: Path) -> list[str]:
    """Run a program as the page says and return the words that it prints."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "STEMLINE_URL": f"http://127.0.0.1:{server.port}",
        "SECRET_ID": SECRET_ID,
        "SECRET_KEY": SECRET_KEY,
        "BUCKET": BUCKET,
        "REGION": REGION,
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.split()


def test_every_sdk_has_a_program() -> None:
    """The page has one whole program for each of six languages."""
    for language in ("python", "js", "go", "java", "php", "cpp"):
        assert "out/voice.${ext}" in program(language)


def test_python(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    """The Python program submits a job; with its Idempotency-Key a second run gives the same job."""
    server = serve()
    (tmp_path / "separate.py").write_text(program("python"))
    first = run([sys.executable, "separate.py"], server, tmp_path)
    assert "Submitted" == first[1]
    assert first == run([sys.executable, "separate.py"], server, tmp_path)
    stored = server.store.jobs.find(first[0])
    assert stored is not None
    assert ("in/song.mp3", "order-17") == (stored.spec.input_object, stored.spec.user_data)


def test_node(serve: Callable[..., ApiServer], installed: Path) -> None:
    """The Node.js program submits a job; with its Idempotency-Key a second run gives the same job."""
    server = serve()
    (installed / "separate.js").write_text(program("js"))
    first = run(["node", "separate.js"], server, installed)
    assert "Submitted" == first[1]
    assert first == run(["node", "separate.js"], server, installed)
