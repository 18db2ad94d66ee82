"""Ports that two processes of tests never choose at the same time."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from stemline.deploy.local import ports

#: How many processes have a part of the range of their own; as many as `make test` starts.
_PARTS = 6


def divide() -> None:
    """Let this process choose ports from its own part of the range, each of them once before any twice.

    A chosen port is not bound yet: without this, another process, or a second choice, could get it as well.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
    own = list(ports.RANGE)[number::_PARTS]
    random.SystemRandom().shuffle(own)
    endless = itertools.cycle(own)

    def candidates() -> Iterator[int]:
        return itertools.islice(endless, len(own))

    pytest.MonkeyPatch().setattr(ports, "candidates", candidates)
