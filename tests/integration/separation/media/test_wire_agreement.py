"""What a request may ask for, and the encoders that must be able to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemline.jobs.audio import CODECS as REQUESTED
from stemline.jobs.audio import MAX_BITRATE, MIN_BITRATE
from stemline.separation.media import OutputSpec, SourceInfo
from stemline.separation.media.codecs import CODECS as ENCODED
from stemline.separation.media.codecs import resolve

SOURCES = [SourceInfo("opus", 48_000, channels, None, "ogg", None) for channels in (1, 2, 3, 6, 7, 8, 24)]


def test_requests_and_encoders_know_the_same_codecs():
    """No codec can be asked for that cannot be written, and none is written that cannot be asked for."""
    assert set(REQUESTED) == set(ENCODED)


@pytest.mark.parametrize("codec", REQUESTED)
def test_whatever_a_request_may_ask_can_be_encoded(codec: str):
    """Every rate, channel count and bitrate that a request passes with, given or not, has an encoding."""
    limits = REQUESTED[codec]
    for source in SOURCES:
        for rate in (None, *limits.samplerates):
            for channels in (None, *limits.channels):
                for kbps in (None, MIN_BITRATE, 333, MAX_BITRATE):
                    encoding = resolve(OutputSpec(Path("x"), codec, rate, kbps, channels), source)
                    assert rate in {None, encoding.samplerate}
                    assert channels in {None, encoding.channels}
                    assert encoding.samplerate in limits.samplerates
                    assert encoding.channels in limits.channels


@pytest.mark.parametrize("codec", REQUESTED)
def test_no_channel_count_is_written_that_no_request_may_ask_for(codec: str):
    """Every channel layout that is made from a source by default is one that a client may ask for."""
    assert set(ENCODED[codec].layouts) == REQUESTED[codec].channels
