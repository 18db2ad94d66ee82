"""CRC-16 as LAME's tag uses it (polynomial 0x8005 reflected, start 0)."""

from __future__ import annotations

import numpy as np

#: Bytes in each lane of the vectorised update.
_LANE = 1024


def _step(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


_TABLE = np.array([_step(byte) for byte in range(256)], dtype=np.uint16)
_TABLE_LIST = [int(entry) for entry in _TABLE]


def _advance(value: int, zeros: int) -> int:
    for _ in range(zeros):
        value = value >> 8 ^ _TABLE_LIST[value & 0xFF]
    return value


def _combined(bits: list[int]) -> list[int]:
    """Return, for each byte, the sum of what its eight bits map to."""
    table = [0]
    for image in bits:
        table += [entry ^ image for entry in table]
    return table


# A CRC is linear: where a lane of zeros takes it is the sum of where it takes each bit.
_PAST_A_LANE = [_advance(1 << bit, _LANE) for bit in range(16)]
_PAST_LOW = _combined(_PAST_A_LANE[:8])
_PAST_HIGH = _combined(_PAST_A_LANE[8:])


class Crc16:
    """A running CRC-16; lanes of a block are computed side by side."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        whole = len(data) // _LANE
        if whole:
            lanes = np.frombuffer(data, dtype=np.uint8, count=whole * _LANE).reshape(whole, _LANE)
            crcs = np.zeros(whole, dtype=np.uint16)
            for column in lanes.T:
                crcs = (crcs >> 8) ^ _TABLE[(crcs ^ column) & 0xFF]
            value = self.value
            for crc in crcs.tolist():
                value = _PAST_LOW[value & 0xFF] ^ _PAST_HIGH[value >> 8] ^ crc
            self.value = value
        value = self.value
        for byte in data[whole * _LANE :]:
            value = value >> 8 ^ _TABLE_LIST[(value ^ byte) & 0xFF]
        self.value = value
