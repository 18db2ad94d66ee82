"""The demo's song and the measure of its stems."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from stemline.deploy.demo.measure import samples, sdr_db
from stemline.testing.song import RATE, Song, demo_song


@pytest.fixture(scope="module")
def song() -> Song:
    return demo_song()


def test_the_parts_add_up_to_the_mix(song: Song) -> None:
    """Voice and background add up to the mix exactly, so that the SDR refers to the true stems."""
    assert np.array_equal(samples(song.mix), samples(song.voice) + samples(song.background))
    assert np.max(np.abs(samples(song.mix))) < 0.95
    assert 24.0 == len(samples(song.mix)) / RATE


def test_the_song_is_the_same_every_time(song: Song) -> None:
    """The song is the same in another process."""
    program = "import hashlib, stemline.testing.song as s; print(hashlib.sha1(s.demo_song().mix).hexdigest())"
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert other == hashlib.sha1(song.mix, usedforsecurity=False).hexdigest()


def test_the_voice_is_audible_and_does_not_dominate(song: Song) -> None:
    """The voice can be heard, and is quieter than the rest, so that separating it is not trivial."""
    assert -6 < sdr_db(samples(song.voice), samples(song.mix)) < 0


def test_the_sdr_follows_its_definition() -> None:
    """An error of a tenth of the amplitude is 20 dB; stems of different lengths are refused."""
    true = np.ones((100, 2))
    assert 20.0 == pytest.approx(sdr_db(true, true * 1.1))
    with pytest.raises(ValueError, match="shape"):
        sdr_db(true, np.ones((99, 2)))
