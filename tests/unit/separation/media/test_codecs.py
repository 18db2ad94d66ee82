"""The gaps of a request filled in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stemline.separation.errors import OptionError
from stemline.separation.media.codecs import Encoding, resolve
from stemline.separation.media.types import OutputSpec, SourceInfo

SOURCE = SourceInfo("mp3", 48_000, 2, 256, "mp3", 10.0)
PATH = Path("stem")


def asked(codec: str, **wishes: int) -> OutputSpec:
    return OutputSpec(PATH, codec, **wishes)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        ("wav", Encoding("wav", 44_100, 0, 2)),
        ("flac", Encoding("flac", 44_100, 0, 2)),
        ("mp3", Encoding("mp3", 44_100, 256_000, 2)),
        ("aac", Encoding("aac", 44_100, 256_000, 2)),
        ("amr", Encoding("amr", 8000, 12_200, 1)),
    ],
)
def test_defaults(codec: str, expected: Encoding):
    """Without wishes: 44.1 kHz (amr 8 kHz), bitrate and channels of the source."""
    assert expected == resolve(asked(codec), SOURCE)


@pytest.mark.parametrize(
    ("codec", "channels", "expected"),
    [
        ("mp3", 6, 2),
        ("aac", 6, 6),
        ("aac", 7, 6),
        ("flac", 3, 2),
        ("flac", 8, 8),
        ("aac", 16, 8),
        ("amr", 2, 1),
        ("wav", 1, 1),
    ],
)
def test_channels_of_the_source_are_kept_where_the_codec_can(codec: str, channels: int, expected: int):
    """The source's channel count is the default, or the next lower one that the codec has."""
    assert expected == resolve(asked(codec), replace(SOURCE, channels=channels)).channels


def test_bitrate_without_a_hint():
    """A source of unknown bitrate gives 96 kbit/s for each channel."""
    assert 192_000 == resolve(asked("mp3"), replace(SOURCE, bitrate_kbps=None)).bitrate_bps


@pytest.mark.parametrize(
    ("codec", "rate", "channels", "kbps", "expected"),
    [
        ("mp3", 44_100, 2, 8, 32),
        ("mp3", 44_100, 2, 1000, 320),
        ("mp3", 44_100, 2, 200, 192),
        ("mp3", 44_100, 2, 208, 224),
        ("mp3", 22_050, 2, 1000, 160),
        ("mp3", 11_025, 1, 1000, 64),
        ("mp3", 11_025, 1, 8, 8),
        ("aac", 44_100, 2, 1000, 529),
        ("aac", 44_100, 1, 1000, 264),
        ("aac", 96_000, 8, 8, 192),
        ("aac", 11_025, 1, 8, 8),
    ],
)
def test_bitrate_is_brought_to_what_the_codec_has(
    codec: str, rate: int, channels: int, kbps: int, expected: int
):
    """Every bitrate of the wire is accepted and becomes the nearest one that the codec can write."""
    spec = asked(codec, samplerate=rate, channels=channels, bitrate_kbps=kbps)

    assert expected * 1000 == resolve(spec, SOURCE).bitrate_bps


@pytest.mark.parametrize(
    ("kbps", "expected"), [(8, 7950), (5, 5150), (4, 4750), (12, 12_200), (1000, 12_200)]
)
def test_amr_mode_is_the_nearest(kbps: int, expected: int):
    """An AMR bitrate becomes the nearest of its eight modes."""
    assert expected == resolve(asked("amr", bitrate_kbps=kbps), SOURCE).bitrate_bps


@pytest.mark.parametrize(
    "spec",
    [
        asked("opus"),
        asked("mp3", samplerate=96_000),
        asked("mp3", samplerate=8001),
        asked("aac", samplerate=192_000),
        asked("amr", samplerate=16_000),
        asked("mp3", channels=6),
        asked("aac", channels=3),
        asked("amr", channels=2),
        asked("wav", channels=4),
    ],
)
def test_what_no_encoder_can_do_is_refused(spec: OutputSpec):
    """A codec, rate or channel count that does not exist is refused."""
    with pytest.raises(OptionError):
        resolve(spec, SOURCE)
