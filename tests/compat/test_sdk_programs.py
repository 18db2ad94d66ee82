"""The programs of docs/sdks.md for the SDKs that this environment has, run as they are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stemline.deploy.local.certificates import issue
from stemline.testing.api_server import ApiServer
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "sdks.md").read_text()


def program(language: str) -> str:
    """The program of the page in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def run(command: list[str], url: str, folder: Path, authority: Path | None = None) -> list[str]:
    """Run a program as the page says and return the words that it prints, or `unverified`."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "STEMLINE_URL": url,
        "SECRET_ID": SECRET_ID,
        "SECRET_KEY": SECRET_KEY,
        "BUCKET": BUCKET,
        "REGION": REGION,
    }
    if authority:
        environment |= dict.fromkeys(("REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(authority))
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    if re.search("CERTIFICATE_VERIFY_FAILED|UNABLE_TO_VERIFY", done.stderr):
        return ["unverified"]
    assert 0 == done.returncode, done.stderr
    return done.stdout.split()


def test_every_sdk_has_a_program() -> None:
    """The page has one whole program for each of six languages."""
    for language in ("python", "js", "go", "java", "php", "cpp"):
        assert "out/voice.${ext}" in program(language)


@pytest.fixture
def folder(installed: Path) -> Path:
    """A folder with the two programs and the Node.js SDK."""
    (installed / "separate.py").write_text(program("python"))
    (installed / "separate.js").write_text(program("js"))
    return installed


COMMANDS = {"python": [sys.executable, "separate.py"], "node": ["node", "separate.js"]}


@pytest.mark.parametrize("tls", [False, True])
def test_the_programs(serve: Callable[..., ApiServer], folder: Path, tmp_path: Path, *, tls: bool) -> None:
    """Each program submits a job of its own, and by its Idempotency-Key the same one when it is run again.

    Over https it sends nothing to a server whose authority it does not trust.
    """
    files = issue(tmp_path, REGION) if tls else None
    server = serve(tls_certificate=files.chain, tls_key=files.key) if files else serve()
    authority = files.authority if files else None
    url = f"{'https' if files else 'http'}://127.0.0.1:{server.port}"
    ids = set()
    for command in COMMANDS.values():
        if tls:
            assert ["unverified"] == run(command, url, folder)
        first = run(command, url, folder, authority)
        assert "Submitted" == first[1]
        assert first == run(command, url, folder, authority)
        stored = server.store.jobs.find(first[0])
        assert stored is not None
        assert "in/song.mp3" == stored.spec.input_object
        ids.add(first[0])
    assert len(COMMANDS) == len(ids)
