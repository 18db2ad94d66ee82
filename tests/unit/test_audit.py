"""``make audit``: a known vulnerability fails it, a service that does not answer is reported."""

from __future__ import annotations

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
        (None, "", 0, "does not answer for those of constraints/build.txt"),
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

    assert status == audit.main()

    assert said in capsys.readouterr().out


def test_a_service_that_knows_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    """A service without an answer for the first lock is not asked for hundreds of packages."""
    asked: list[str] = []
    monkeypatch.setattr(audit, "ask", asked.append)

    audit.main()

    assert [audit.LOCKS[0]] == asked
