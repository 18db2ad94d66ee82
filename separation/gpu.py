"""What the NVIDIA driver says about the first graphics processor."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

#: Device memory that one segment in a batch needs while the widest layers run, MiB.
SEGMENT_MIB = 500
#: More segments than this gain nothing.
LARGEST_BATCH = 16
_QUERY = ("nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """Name of a device, and its free memory in MiB."""

    name: str
    free_mib: int

    @property
    def batch(self) -> int:
        """Return how many segments fit, with as much again left to others."""
        return max(1, min(LARGEST_BATCH, self.free_mib // (2 * SEGMENT_MIB)))


def first_gpu() -> Gpu | None:
    """Return the first device, or None where no driver answers."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True).stdout
        name, free = answer.splitlines()[0].rsplit(",", 1)
        return Gpu(name.strip(), int(free))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
