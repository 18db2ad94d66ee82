"""``make audit``: known vulnerabilities in the pinned packages, as far as the service knows them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from tests.paths import REPOSITORY

#: What the service is built from and runs with, the smallest first.
LOCKS: Final = ("uv", "build", "python", "gpu")
TIMEOUT_S: Final = 45
#: What errors of connections, and answers that are no JSON, have in common.
UNREACHABLE: Final = re.compile(
    "connect|timed? ?out|max retries|name resolution|unreachable|proxy|certificate|service error"
    "|expecting value",
    re.IGNORECASE,
)


class AuditFailed(Exception):
    """pip-audit ended without a report, and not because the service cannot be reached."""


def main() -> int:
    """Ask for the vulnerabilities of every lock; fail on those that are known.

    A service that cannot be reached, or lacks packages, is reported: that says nothing about a change. With
    ``AUDIT=strict``, for a release, it fails this.
    """
    audited: set[str] = set()
    left: set[str] = set()
    vulnerable: list[str] = []
    for lock in LOCKS:
        try:
            found = ask(lock) if audited or not left else None  # it knows nothing at all
        except AuditFailed as error:
            sys.stdout.write(f"NOT AUDITED: pip-audit failed on constraints/{lock}.txt. {error}\n")
            return 1
        if found is None:
            left.add(f"those of constraints/{lock}.txt")
            continue
        for package in found:
            name = f"{package['name']} {package.get('version', '')}".strip()
            (left if "skip_reason" in package else audited).add(name)
            vulnerable += [
                f"{name}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'no release'}"
                for each in package.get("vulns", [])
            ]
    sys.stdout.write("\n".join([*sorted(set(vulnerable)), *_summary(audited, left), ""]))
    is_strict = os.environ.get("AUDIT") == "strict"
    return 1 if vulnerable or (is_strict and left) else 0


def _summary(audited: set[str], left: set[str]) -> Iterator[str]:
    """Yield what was looked up and what was not."""
    if not audited:
        yield "NOT AUDITED: the vulnerability service cannot be reached from here, or knows no package."
        yield "Known vulnerabilities of the pinned packages were not looked for: run `make audit` elsewhere."
    yield f"{len(audited)} packages were looked up."
    if left:
        yield f"The vulnerability service does not answer for {', '.join(sorted(left))}."


def ask(lock: str) -> list[dict[str, Any]] | None:
    """Return what pip-audit reports about the packages of a lock; None if the service cannot be reached.

    Raises:
        AuditFailed: pip-audit failed for another reason.
    """
    path = REPOSITORY / "constraints" / f"{lock}.txt"
    command = ["pip-audit", "--requirement", str(path), "--require-hashes", "--disable-pip", "--format=json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner=off", "--timeout=5"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        if UNREACHABLE.search(done.stderr):
            return None
        raise AuditFailed(done.stderr.strip().rpartition("\n")[2]) from None


if __name__ == "__main__":
    sys.exit(main())
