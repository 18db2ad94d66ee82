"""``make audit``: a known vulnerability fails it, a service that does not answer is reported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.security import audit

CLEAN = {"name": "fine", "version": "1", "vulns": []}
SKIPPED = {"name": "unknown", "skip_reason": "not found"}
VULNERABLE = {"name": "weak", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("found", "mode", "status", "said"),
    [
        ([CLEAN], "", 0, "1 packages were looked up."),
        ([CLEAN], "strict", 0, "1 packages were looked up."),
        ([CLEAN, SKIPPED], "", 0, "does not answer for unknown"),
        ([CLEAN, SKIPPED], "strict", 1, "does not answer for unknown"),
        ([CLEAN, VULNERABLE], "", 1, "weak 2: CVE-1, fixed in 3"),
        ([CLEAN, SKIPPED], "ci", 0, "does not answer for unknown"),
        ([SKIPPED], "ci", 0, "NOT AUDITED"),
        (None, "", 0, "NOT AUDITED"),
        (None, "", 0, "does not answer for those of constraints/build.txt"),
        (None, "ci", 0, "NOT AUDITED"),
        (None, "strict", 1, "0 packages were looked up."),
    ],
)
def test_findings_decide(
    found: list[dict[str, Any]] | None,
    mode: str,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """What is known to be vulnerable fails; what nobody knows fails only where that is asked for."""
    monkeypatch.setattr(audit, "ask", lambda _: found)
    monkeypatch.setenv("AUDIT", mode)
    monkeypatch.setenv("CI", "1" if mode == "ci" else "")

    assert status == audit.main()

    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("echo 'ERROR: Could not connect to the vulnerability feed' >&2; exit 1", 0, "cannot be reached"),
        ("echo 'JSONDecodeError: Expecting value: line 1' >&2; exit 1", 0, "cannot be reached"),
        ("echo 'TypeError: a fault of the tool' >&2; exit 1", 1, "a fault of the tool"),
        ("echo '{}'", 1, "pip-audit failed on constraints/uv.txt"),
    ],
)
def test_a_tool_that_fails_is_no_unreachable_service(
    script: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """A connection that fails is said plainly; any other failure of the tool fails the audit."""
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("AUDIT", "")

    assert status == audit.main()

    assert said in capsys.readouterr().out


def test_a_service_that_knows_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    """A service without an answer for the first lock is not asked for hundreds of packages."""
    asked: list[str] = []
    monkeypatch.setattr(audit, "ask", asked.append)

    audit.main()

    assert [audit.LOCKS[0]] == asked
