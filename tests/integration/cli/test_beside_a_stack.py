"""Commands beside a local stack find it by themselves."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from stemline.deploy.local.addresses import Addresses
from stemline.testing.receiver import answer, receiving
from tests.media import Kind, make, tone


@pytest.fixture
def beside(stack_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in a folder below the one with the stack, with none of its variables set."""
    (tmp_path / ".stemline").symlink_to(stack_home)
    (tmp_path / "music").mkdir()
    monkeypatch.delenv("STEMLINE_HOME", raising=False)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stemline", *words],
            check=False,
            cwd=tmp_path / "music",
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


@pytest.mark.slow
def test_a_file_is_separated_and_shown(where: dict[str, Any], beside: Any, tmp_path: Path) -> None:
    """`submit`, `jobs` and `store callbacks` use the stack, which signs its callbacks."""
    make(tmp_path / "music" / "song.mp3", Kind("mp3", "libmp3lame"), tone(2 * 44_100))
    with receiving(answer(204)) as receiver:
        ran = beside("submit", "song.mp3", "--codec", "mp3", "--callback", receiver.url)
        assert 0 == ran.returncode, ran.stderr
        assert ["song-voice.mp3", "song-background.mp3"] == ran.stdout.split()
        listed = beside("jobs", "--limit", "1").stdout
        assert "Success" in listed
        assert listed.split("\t")[0] in beside("store", "callbacks", "show", listed.split("\t")[0]).stdout
    assert receiver.received[0].headers["webhook-signature"].startswith("v1,")
    assert where["webhook_secret"].startswith("whsec_")


@pytest.mark.slow
def test_the_doctor_examines_the_stack(where: dict[str, Any], beside: Any, stack_home: Path) -> None:
    """Beside a stack that works `doctor` finds nothing that stops it, without any setting."""
    ran = beside("doctor", "store", "broker", "capacity", "buckets", "callbacks", "--json")
    assert 0 == ran.returncode, ran.stdout
    assert str(stack_home.parent) in ran.stderr or ".stemline" in ran.stderr
    assert "callbacks are signed" in ran.stdout


def test_the_root_leads_a_browser_to_the_console(where: dict[str, Any]) -> None:
    """A browser that opens the API's address comes to the console, another client to an error."""
    page = {"Accept": "text/html,application/xhtml+xml"}
    with httpx.Client(base_url=where["api"], trust_env=False, follow_redirects=True) as browser:
        found = browser.get("/", headers=page)
        assert (200, "text/html; charset=utf-8") == (found.status_code, found.headers["content-type"])
        assert "<Code>NoSuchResource</Code>" in browser.get("/").text


def test_the_link_of_the_banner_holds_the_keys_in_its_fragment(where: dict[str, Any]) -> None:
    """The link logs in to the console; what a server sees of it has no secret."""
    link = Addresses.read(where).console_link
    seen, _, fragment = link.partition("#login=")
    assert f"{where['api']}/console/" == seen
    keys = json.loads(base64.urlsafe_b64decode(fragment + "=" * (-len(fragment) % 4)))
    assert (where["secret_id"], where["secret_key"], where["bucket"], where["region"]) == (
        keys["secretId"],
        keys["secretKey"],
        keys["bucket"],
        keys["region"],
    )
    assert re.fullmatch("[A-Za-z0-9_-]+", fragment)
