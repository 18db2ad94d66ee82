"""Where the networks of a worker run, known in every process of its pool."""

from __future__ import annotations

import ctypes
import multiprocessing
from typing import Final

_MAX_BYTES: Final = 200


class DeviceInUse:
    """The device of the latest network; shared with a pool that forks after it was created.

    Args:
        asked_for: The device of the settings; ``auto`` leaves it open until a network is loaded.
    """

    def __init__(self, asked_for: str) -> None:
        self._name = multiprocessing.Array(ctypes.c_char, _MAX_BYTES)
        self.set("" if asked_for == "auto" else asked_for)

    def set(self, device: str) -> None:
        """Record where a network was loaded."""
        self._name.value = device.encode()[: _MAX_BYTES - 1]

    def get(self) -> str:
        """Return the device; empty while it is open."""
        return self._name.value.decode(errors="ignore")
