"""What each codec may be asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stemline.jobs.audio import CODECS, SAMPLERATES, check_audio
from stemline.jobs.errors import RequestRefused
from stemline.jobs.separation import AudioConfig, AudioMode

ALLOWED = {
    "aac": (SAMPLERATES - {8000}, {1, 2, 4, 5, 6, 8}),
    "mp3": (SAMPLERATES - {8000, 96000}, {1, 2}),
    "flac": (SAMPLERATES - {8000}, {1, 2, 4, 5, 6, 8}),
    "amr": ({8000}, {1}),
    "wav": (SAMPLERATES, {1, 2}),
}


def accepted(mode: AudioMode, **values: object) -> bool:
    try:
        check_audio(mode, AudioConfig(**values))  # type: ignore[arg-type]
    except RequestRefused:
        return False
    return True


@pytest.mark.shows("Codec, Samplerate, Bitrate, Channels")
@pytest.mark.parametrize("codec", CODECS)
def test_table(codec: str) -> None:
    """Sample rates and channels are allowed per codec exactly as the specification's table says."""
    rates, channels = ALLOWED[codec]
    mode = AudioMode.IS_AUDIO
    tried = [*sorted(SAMPLERATES), 0, 1, 44099, 192000]
    assert rates == {rate for rate in tried if accepted(mode, codec=codec, samplerate=rate)}
    assert channels == {n for n in range(10) if accepted(mode, codec=codec, channels=n)}


@pytest.mark.parametrize(("bitrate", "good"), [(7, False), (8, True), (1000, True), (1001, False)])
def test_bitrate(bitrate: int, good: bool) -> None:
    """8 to 1000 kbit/s; wav has none and ignores it."""
    assert good is accepted(AudioMode.IS_AUDIO, codec="mp3", bitrate=bitrate)
    assert accepted(AudioMode.IS_AUDIO, codec="wav", bitrate=bitrate)


@pytest.mark.parametrize("codec", ["acc", "MP3", "ogg", "m4a", " "])
def test_unknown_codec(codec: str) -> None:
    """``acc`` is a misprint of the documents, not a codec."""
    assert not accepted(AudioMode.IS_AUDIO, codec=codec)


@pytest.mark.shows("Codec, Samplerate, Bitrate, Channels")
def test_music_mode() -> None:
    """MusicMode writes mp3, wav or aac and does not look at the three numbers."""
    mode = AudioMode.MUSIC_MODE
    assert {"mp3", "wav", "aac"} == {codec for codec in CODECS if accepted(mode, codec=codec)}
    assert accepted(mode, codec="mp3", samplerate=1, bitrate=99999, channels=77)


@pytest.mark.parametrize(
    ("mode", "values", "refusal"),
    [
        (AudioMode.IS_AUDIO, {"codec": "ogg"}, "AudioConfig.Codec must be one of aac, mp3, flac, amr, wav."),
        (AudioMode.MUSIC_MODE, {"codec": "amr"}, "With MusicMode, AudioConfig.Codec must be one of aac, mp3"),
        (
            AudioMode.IS_AUDIO,
            {"codec": "amr", "samplerate": 44_100},
            "Samplerate for amr must be one of 8000",
        ),
        (AudioMode.IS_AUDIO, {"codec": "mp3", "channels": 6}, "Channels for mp3 must be one of 1, 2."),
        (AudioMode.IS_AUDIO, {"codec": "mp3", "bitrate": 7}, "Bitrate must be 8 to 1000 kbit/s."),
        (AudioMode.IS_AUDIO, {"codec": "flac", "bit_depth": 32}, "BitDepth must be one of 16, 24 for flac."),
        (AudioMode.IS_AUDIO, {"codec": "mp3", "bit_depth": 16}, "BitDepth does not apply for mp3."),
    ],
)
def test_a_refusal_names_what_is_allowed(mode: AudioMode, values: dict[str, Any], refusal: str) -> None:
    """It names the field, the codec and the values that it may have."""
    with pytest.raises(RequestRefused, match=re.escape(refusal)):
        check_audio(mode, AudioConfig(**values))
