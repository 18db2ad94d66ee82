"""What a job wants from its worker, and what a worker serves: names of models, and modes.

A job that names a model wants that model. Any other wants its mode, for which its worker chooses the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stemline.jobs.separation import AudioMode

COMMON: Final = frozenset(
    {str(AudioMode.AUDIO_AND_BACKGROUND), str(AudioMode.MUSIC_MODE), "2stems", "4stems"}
)
"""What Spleeter's two networks answer. A worker of an earlier release announces nothing, and serves these."""

MAX_SERVED: Final = 64
"""Names that one worker announces at most."""

MAX_WANTED: Final = 64
"""Different models, beyond the common ones, that the waiting jobs of one queue may want."""


def mode_wanted(mode: AudioMode) -> str:
    """Return what a job of a mode wants that names no model."""
    return str(AudioMode.MUSIC_MODE if mode is AudioMode.MUSIC_MODE else AudioMode.AUDIO_AND_BACKGROUND)


@dataclass(frozen=True, slots=True)
class Demand:
    """Waiting jobs that want the same, apart from those in the common line."""

    wants: str
    waiting: int
    """Jobs of all queues, those included that may not start yet."""
    served: bool
    """Whether a worker that lives serves it."""


def no_worker(wants: str) -> str:
    """Return why a job waits that no worker can do."""
    return f"No worker that is running serves {wants}."


def wait_reason(missing: str, level: int, wants: str) -> str:
    """Return why no worker takes a job.

    Args:
        missing: What keeps all of them from it: ``worker`` (none is running), ``model`` or ``level``;
            empty if one takes it.
        level: JobLevel of the job.
        wants: What the job wants of its worker.
    """
    reasons = {
        "": "",
        "worker": "No worker that separates is running.",
        "model": no_worker(wants),
        "level": f"No worker that is running takes {wants} at level {level}.",
    }
    return reasons[missing]


def announced(names: Iterable[str]) -> tuple[str, ...]:
    """Return what a worker announces of the names that it serves: what Spleeter answers, then by name."""
    return tuple(sorted(set(names), key=lambda name: (name not in COMMON, name))[:MAX_SERVED])
