"""``make audit``: known vulnerabilities in the pinned packages, as far as the service knows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

from tests.paths import REPOSITORY

#: What the service is built from and runs with, the smallest first.
LOCKS: Final = ("uv", "build", "python", "gpu")
TIMEOUT_S: Final = 45


def main() -> int:
    """Ask for the vulnerabilities of every lock; fail on those that are known.

    A service that cannot be reached, or lacks packages, is reported; ``AUDIT=strict`` lets that fail, too.
    """
    audited: set[str] = set()
    left: set[str] = set()
    vulnerable: list[str] = []
    for lock in LOCKS:
        found = ask(lock) if audited or not left else None  # one that knows nothing need not be asked more
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
    sys.stdout.write("\n".join([*sorted(set(vulnerable)), f"{len(audited)} packages were looked up.", ""]))
    if left:
        sys.stdout.write(f"The vulnerability service does not answer for {', '.join(sorted(left))}.\n")
    is_strict = os.environ.get("AUDIT") == "strict"
    return 1 if vulnerable or (is_strict and left) else 0


def ask(lock: str) -> list[dict[str, Any]] | None:
    """Return what pip-audit reports about the packages of a lock; None if it reports nothing."""
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
        return list(json.loads(done.stdout)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None


if __name__ == "__main__":
    sys.exit(main())
