"""The checksum of LAME's tag."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stemline.separation.media.crc16 import Crc16


def plain(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def test_check_value():
    """The catalogue's check value of CRC-16/ARC comes out."""
    crc = Crc16()
    crc.update(b"123456789")

    assert 0xBB3D == crc.value


@given(st.lists(st.binary(max_size=3000), max_size=4))
def test_lanes_equal_the_plain_loop(blocks: list[bytes]):
    """The vectorised update equals the loop over bits, however the data is cut."""
    crc = Crc16()
    for block in blocks:
        crc.update(block)

    assert plain(b"".join(blocks)) == crc.value
