"""The first GPU, as the NVIDIA driver reports it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

#: Device memory that one segment in a batch needs while the widest layers run, MiB.
SEGMENT_MIB = 500
#: Larger batches are not faster.
LARGEST_BATCH = 16
_QUERY = ("nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, and its free memory in MiB."""

    name: str
    free_mib: int

    @property
    def batch(self) -> int:
        """Return the size of a batch that takes no more than half of the free memory, in segments."""
        return max(1, min(LARGEST_BATCH, self.free_mib // (2 * SEGMENT_MIB)))


def first_gpu() -> Gpu | None:
    """Return the first GPU; None where the driver reports none."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True).stdout
        name, free = answer.splitlines()[0].rsplit(",", 1)
        return Gpu(name.strip(), int(free))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
