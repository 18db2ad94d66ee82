"""Hostile media: memory and time are bounded, whatever a file holds and whichever container it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stemline.separation.decoder import Decoder
from stemline.separation.errors import Cancelled
from stemline.separation.media import MediaLimits
from stemline.testing.processes import eventually
from tests.security.media_reading import CASES, children, read

#: Five seconds are promised; a busy machine may need longer.
CANCEL_S = 60
#: Short, so that hours of silence end soon.
LIMITS = MediaLimits(max_duration_s=600, max_bytes=10**9)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """A decoder with the service's limits."""
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.mark.parametrize("name", CASES)
def test_hostile_media(name: str, decoder: Decoder, tmp_path: Path):
    """A file is read, or refused without a crash, within bounds; a cancel ends it."""
    suffix, write, size = CASES[name]
    path = tmp_path / f"in.{suffix}"
    write(path, size)

    found = read(decoder, path, LIMITS)

    assert [] == found.faults
    if found.seconds > 0.5:
        cancelled = read(decoder, path, LIMITS, cancel_after_s=0.1)
        assert isinstance(cancelled.error, Cancelled | type(found.error))
        assert cancelled.seconds < 0.1 + CANCEL_S
    eventually(lambda: not children(decoder), 180, "the end of the process")
