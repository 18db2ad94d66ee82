"""Separation workers, and the networks that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stemline.runtime.settings.groups.group import Group, setting

#: Jobs of one worker that share a GPU, so that its batches are full.
_SONGS_PER_GPU = 8


class WorkerSettings(Group):
    """Separation workers."""

    levels: tuple[int, ...] = setting(
        (2, 1, 0), "JobLevels a separation worker serves, JSON list.", variable="worker_levels"
    )
    concurrency: int = setting(
        0,
        "Jobs that one worker runs at the same time; 0: one on CPUs, where each has an engine of its own, "
        "and eight with `STEMLINE_DEVICE=cuda`, where they share one.",
        variable="worker_concurrency",
        ge=0,
    )
    grace_s: float = setting(
        120.0,
        "On shutdown, how long a running job may continue before it is released, s.",
        variable="worker_grace_s",
        ge=0,
    )
    retry_window_hours: float = setting(
        24.0, "Age of a job up to which an unreachable bucket costs it no attempt, hours.", ge=0
    )
    retry_delay_s: float = setting(
        15.0, "Delay before such a job is tried again, s; it doubles with each attempt.", ge=0
    )
    retry_delay_max_s: float = setting(900.0, "Longest such delay, s.", ge=0)
    job_time_limit_s: float = setting(6 * 3600.0, "Longest one attempt may take, s.", gt=0)
    memory_reserve_bytes: int = setting(
        128 * 2**20,
        "Memory that is kept free: with less, of the machine or of the container, attempts wait before their "
        "next segment while one goes on, bytes; 0: none waits.",
        ge=0,
    )
    memory_wait_s: float = setting(
        300.0, "How long an attempt waits for memory before its job is put off, s.", ge=0
    )
    model_limits: dict[str, Annotated[int, Field(ge=1)]] = setting(
        {},
        "Jobs of a model, or of a mode for those that name none, that run at once on all workers, JSON; give "
        "every worker the same.",
    )
    model_time_limits_s: dict[str, Annotated[float, Field(gt=0)]] = setting(
        {}, "Longest one attempt at such a job may take, instead of `STEMLINE_JOB_TIME_LIMIT_S`, s, JSON."
    )

    def slots(self, device: str) -> int:
        """Return how many jobs a worker with this engine's device runs at the same time."""
        return self.concurrency or (_SONGS_PER_GPU if device == "cuda" else 1)


class EngineSettings(Group):
    """The networks and what runs them."""

    name: Literal["onnxruntime", "tensorflow"] = setting(
        "onnxruntime", "Library that runs the networks.", variable="engine"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where the networks run; a device that is asked for and missing is an error."
    )
    threads: int = setting(0, "Cores an engine uses; 0 uses all.", ge=0)
    batch_wait_ms: float = setting(
        5.0, "On a GPU, how long a segment waits for others before an incomplete batch runs, ms.", ge=0
    )
    gpu_transform: Literal["device", "host"] = setting(
        "device",
        "On a GPU, where Spleeter's models transform samples: `device`, which is tried at the start and "
        "falls back to the host, or `host`.",
    )
    kernels: Literal["auto", "off", "base", "avx2", "avx512"] = setting(
        "auto",
        "Compiled kernels for Spleeter's models on CPUs: `auto` is the best that the processor can run, or "
        "ONNX Runtime where none were built; `off` is ONNX Runtime; an instruction set that is named and "
        "missing is an error.",
    )
    models_dir: Path | None = setting(None, "Folder of verified weights; the user's cache if not set.")
    models_mirror: str | None = setting(None, "Base URL of your own mirror of the weights, http(s) or s3.")
    models_fetch: bool = setting(False, "Whether a worker fetches weights that it needs and lacks.")
    preload_models: tuple[str, ...] = setting(
        ("2stems",), "Models that a worker loads at its start, JSON list."
    )
    mode_models: dict[Literal["AudioAndBackground", "MusicMode"], str] = setting(
        {},
        "Model that answers a mode, JSON; IsAudio and IsBackground follow AudioAndBackground. Without one, "
        "`2stems` and `4stems`.",
    )
    mask_extension: Literal["average", "upper", "zeros"] = setting(
        "average",
        "Above 11 kHz: `average` keeps it by the frame's average mask, `upper` by that from 7.5 to 11 kHz,"
        " `zeros` removes it as Spleeter does.",
    )
    context_frames: int = setting(
        0, "Frames of context around each segment; 0 is exactly Spleeter.", ge=0, le=256
    )
    refine: bool = setting(
        False, "Whether a multichannel Wiener filter follows the networks (docs/quality.md)."
    )
