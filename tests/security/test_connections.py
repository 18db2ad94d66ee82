"""The short form of ``make security``: a few attacks at a time, for half a minute."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security import attacks
from tests.security.attacker import Attack, Script
from tests.security.report import run, settle
from tests.security.target import Target, running

pytestmark = pytest.mark.slow

SECONDS = 2.0
#: Enough to see a leak of each, few enough for a machine that runs other tests beside.
CONNECTIONS = 300
#: `make security` measures the wait of honest clients; here other tests may have the processor for a while.
MAX_WAIT_S = 60.0


@pytest.fixture(scope="module", params=["plain", "TLS"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A running API process, as it is installed."""
    with running(tmp_path_factory.mktemp("target"), tls=request.param == "TLS") as target:
        yield target


@pytest.fixture(scope="module")
def seed() -> int:
    """Chosen anew for each run, and printed with its failures; ``SECURITY_SEED`` repeats one."""
    chosen = int(os.environ.get("SECURITY_SEED") or secrets.randbelow(10**6))
    sys.stdout.write(f"SECURITY_SEED={chosen}\n")
    return chosen


def test_attacks_are_held(target: Target, seed: int) -> None:
    """Whatever is sent endlessly, slowly or halfway: memory, descriptors and other clients are safe."""
    every = attacks.attacks(target, SECONDS, seed)

    def mixed(name: str, *beginnings: str) -> Attack:
        chosen = [attack for attack in every if attack.name.startswith(beginnings)]
        scripts = tuple(script for attack in chosen for script in attack.scripts)
        return Attack(name, scripts, CONNECTIONS, SECONDS)

    kinds = [
        mixed("endless", "endless"),
        mixed("silent, slow and halfway", "silent", "every", "TLS", "reset", "bodies", "streams"),
    ]
    rows = list(run(target, kinds, seed, MAX_WAIT_S))
    assert {} == {row.attack.name: row.faults for row in rows if row.faults}


def test_few_descriptors(tmp_path: Path) -> None:
    """Where the system allows few open files, a flood takes no descriptor from the service or its clients."""
    with running(tmp_path, files=256) as target:
        flood = Attack("silent from the start", (Script(),), 1000, SECONDS)
        with target.observed() as seen:
            (row,) = run(target, [flood], 1, MAX_WAIT_S)
        assert [] == row.faults
        assert row.cost.opened > 256
        assert row.seen.peak_descriptors < 256
        assert seen.waits_s
        assert 0 == settle(target, 10**6)
