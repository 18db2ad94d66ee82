"""How long an attempt may take."""

from __future__ import annotations

from stemline.runtime.settings.groups import WorkerSettings


def time_limit_s(settings: WorkerSettings, wants: str) -> float:
    """Return the limit of jobs that want a model, or a mode, s."""
    return settings.model_time_limits_s.get(wants, settings.job_time_limit_s)


def longest_time_limit_s(settings: WorkerSettings) -> float:
    """Return the limit of all jobs, s."""
    return max(settings.job_time_limit_s, *settings.model_time_limits_s.values(), 0)
