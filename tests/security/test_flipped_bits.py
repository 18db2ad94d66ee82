"""Damaged files of every kind: each is decoded or refused by the one that decodes, and none crashes it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemline.separation.decoder import Decoder
from stemline.separation.errors import DecoderCrashed, DecoderLost, SeparationError
from stemline.separation.media import MediaLimits
from tests.media import KINDS, Kind, make, tone

LIMITS = MediaLimits(max_duration_s=600, max_bytes=10**9)
#: Files of each kind; thousands were tried by hand, with other seeds.
FILES = 2
ALL = (
    *KINDS,
    Kind("w64", "pcm_s16le"),
    Kind("au", "pcm_s16be"),
    Kind("wv", "wavpack"),
    Kind("tta", "tta"),
    Kind("mpg", "mp2", muxer="mpeg"),
    Kind("rm", "ac3", muxer="rm"),
    Kind("aac", "aac", muxer="latm"),
    Kind("eac3", "eac3"),
    Kind("voc", "pcm_u8"),
    Kind("mov", "pcm_s16le"),
    Kind("wav", "adpcm_ms"),
)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """A decoder with the service's limits."""
    decoder = Decoder()
    yield decoder
    decoder.close()


def damaged(content: bytes, random_: random.Random) -> bytes:
    """Return the bytes with some of them changed, at the start of the file or anywhere."""
    changed = bytearray(content)
    end = min(len(changed), random_.choice((64, 1024, len(changed))))
    for _ in range(random_.choice((1, 2, 4, 16, 64))):
        place = random_.randrange(end)
        match random_.randrange(4):
            case 0:
                changed[place] ^= 1 << random_.randrange(8)
            case 1:
                changed[place] = random_.choice((0, 127, 128, 255))
            case 2:  # a number
                width = random_.choice((2, 4, 8))
                number = random_.choice((0, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 1000))
                changed[place : place + width] = number.to_bytes(width, random_.choice(("little", "big")))
            case _:
                start = random_.randrange(len(changed))
                changed[place:place] = changed[start : start + random_.choice((4, 64, 1024))]
    return bytes(changed)


@pytest.mark.parametrize("seed", [20261128])
def test_damage_ends_in_audio_or_in_an_error_of_the_source(seed: int, decoder: Decoder, tmp_path: Path):
    """Whatever a few changed bytes make of a file, the process that reads it ends by itself."""
    random_ = random.Random(seed)
    read = refused = 0
    for kind in ALL:
        channels = 1 if kind.layout == "mono" else 2
        sound = tone(kind.rate // 2, channels, kind.rate)
        path = make(tmp_path / kind.name, kind, sound, {"title": "x" * 50})
        whole = path.read_bytes()
        for number in range(FILES):
            path.write_bytes(damaged(whole, random_))
            try:
                with decoder.open(path, limits=LIMITS) as audio:
                    for _ in audio:
                        pass
                read += 1
            except (DecoderCrashed, DecoderLost):
                pytest.fail(f"file {number} of {kind.name} ended the process, seed {seed}")
            except SeparationError:
                refused += 1
    assert min(read, refused) > len(ALL) / 2
