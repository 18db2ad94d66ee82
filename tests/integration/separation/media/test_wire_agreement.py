"""The table that requests are checked against, and the encoders that must keep its promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemline.jobs.audio import CODECS, SAMPLERATES
from stemline.separation.errors import OptionError
from stemline.separation.media import OutputSpec, SourceInfo
from stemline.separation.media.spec import resolve

SOURCES = [SourceInfo("opus", 48_000, channels, None, "ogg", None) for channels in (1, 2, 3, 6, 7, 8, 24)]


@pytest.mark.parametrize("codec", CODECS)
def test_whatever_a_request_may_ask_can_be_encoded(codec: str):
    """Every rate, channel count and bitrate that a request passes with, given or not, has an encoding."""
    table = CODECS[codec]
    for source in SOURCES:
        for rate in (None, *table.samplerates):
            for channels in (None, *table.channels):
                for kbps in (None, 8, 333, 1000):
                    encoding = resolve(OutputSpec(Path("x"), codec, rate, kbps, channels), source)
                    assert (rate or table.default_samplerate) == encoding.samplerate
                    assert encoding.channels in table.channels


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_request_may_not_ask_is_not_encoded(codec: str):
    """The encoders know no rate and no channel count beyond the table."""
    table = CODECS[codec]
    wrong = [OutputSpec(Path("x"), codec, samplerate=rate) for rate in SAMPLERATES - table.samplerates]
    wrong += [OutputSpec(Path("x"), codec, channels=count) for count in set(range(1, 9)) - table.channels]

    for spec in wrong:
        with pytest.raises(OptionError):
            resolve(spec, SOURCES[1])
