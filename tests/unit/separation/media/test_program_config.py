"""The names of the channels that AAC lists itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemline.separation.media import program_config


def config(front: str, side: str = "", back: str = "", effects: int = 0, mixdowns: str = "000") -> bytes:
    """An AudioSpecificConfig whose lists have elements of one (`1`) or two (`2`) channels."""
    elements = "".join(f"{int(count) - 1}0000" for count in front + side + back)
    counts = f"{len(front):04b}{len(side):04b}{len(back):04b}{effects:02b}" + 7 * "0"
    bits = "00010010000000000000010100" + counts + mixdowns + elements + 4 * effects * "0"
    return int(bits.ljust(400, "0"), 2).to_bytes(50, "big")


def names(content: bytes) -> str:
    return " ".join(program_config.channel_names(content, lambda: Path("none"), "aac", 0))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (config("12", effects=1), "FC FL FR LFE"),
        (config("21", effects=1), "FL FR FC LFE"),
        (config("2", "2"), "FL FR SL SR"),
        (config("122", "", "2", 1), "FC FLC FRC FL FR BL BR LFE"),
        (config("11", "", "21"), "FL FR BL BR BC"),
        (config("12", "", "1", mixdowns="10000100001000"), "FC FL FR BC"),
        (config("1", effects=1), "FC LFE"),
        (config("2", "1"), ""),
        (config(""), ""),
        (b"\x12\x10", ""),
        (b"\x12", ""),
    ],
)
def test_the_lists_name_channels_in_order(content: bytes, expected: str) -> None:
    """Front, side, back, effects; a centre has no partner; of two pairs in front the inner one is first."""
    assert names(content) == expected
