"""What a bucket may have, how jobs are run and kept, and which media they may name."""

from __future__ import annotations

from stemline.runtime.settings.groups.group import Group, setting


class TenantSettings(Group):
    """What a bucket may have: queues, waiting jobs, templates."""

    auto_open: bool = setting(
        True,
        "Open a bucket at its first job, template or change of its queue; one that was closed stays closed.",
    )
    buckets_per_region: int = setting(1000, "Buckets that may be opened in a region.", ge=1)
    queue_max_size: int = setting(10000, "Waiting jobs a new queue may hold.", ge=1)
    queue_max_concurrent: int = setting(10, "Jobs of a new queue that run at the same time.", ge=1)
    queue_max_size_limit: int = setting(
        100_000, "Highest MaxSize that a client may set; a credential may have its own.", ge=1
    )
    queue_max_concurrent_limit: int = setting(
        100, "Highest MaxConcurrent that a client may set; a credential may have its own.", ge=1
    )
    queue_weight_limit: int = setting(
        100, "Highest Weight that a client may set; a credential may have its own.", ge=1, le=1000
    )
    max_templates: int = setting(200, "Templates a bucket may hold.", variable="templates_per_bucket", ge=1)
    batches_per_bucket: int = setting(
        20, "Batches of a bucket that may have rows which are not jobs yet.", ge=1, le=1000
    )
    batch_rows_per_bucket: int = setting(200_000, "Such rows of all batches of a bucket.", ge=1)
    batch_bytes_per_bucket: int = setting(128 << 20, "Bytes of such rows in the job store.", ge=1)
    job_bytes_per_bucket: int = setting(
        4 << 30,
        "Bytes that the records of a bucket's jobs may take in the job store. Beyond, those that have ended "
        "are deleted before their retention, the oldest first; with none, no job is taken. 0 is no limit.",
        ge=0,
    )


class JobSettings(Group):
    """Leases, attempts and retention of jobs."""

    cancel_running: bool = setting(True, "Cancel stops running jobs too; the vendor refuses that.")
    lease_s: float = setting(20.0, "How long a claim is valid without a heartbeat, s.", gt=0)
    heartbeat_s: float = setting(2.0, "How often a worker extends its lease, s.", gt=0)
    sweep_interval_s: float = setting(5.0, "How often the sweeper looks for lost work, s.", gt=0)
    max_attempts: int = setting(3, "Attempts before a job whose workers die is Failed.", ge=1)
    level_ageing_s: float = setting(
        0.0,
        "A waiting job is treated one JobLevel higher after each such interval, s; 0 turns this off.",
        ge=0,
    )
    reuse: bool = setting(
        False, "Copy the stems of an equal job of the same bucket instead of separating again."
    )
    retention_days: float = setting(90.0, "How long ended jobs are kept, days.", gt=0)
    idempotency_hours: float = setting(24.0, "How long an Idempotency-Key is remembered, hours.", gt=0)


class SourceSettings(Group):
    """Limits of the media to separate."""

    max_bytes: int = setting(5 << 30, "Largest source object, bytes.", variable="source_max_bytes", ge=1)
    max_duration_s: float = setting(
        5 * 3600.0, "Longest source, seconds of audio.", variable="source_max_duration_s", gt=0
    )
    max_pause_s: float = setting(
        3600.0,
        "Longest pause in a recording that becomes silence, s; a longer one fails the job.",
        variable="source_max_pause_s",
        gt=0,
    )
    decode_memory_bytes: int = setting(
        512 << 20, "Memory that opening and decoding one source may take, bytes.", ge=64 << 20
    )
    decode_cpu_s: int = setting(900, "Processor time that opening and decoding one source may take, s.", ge=1)
    decode_start_cpu_s: int = setting(
        10,
        "The same for opening it, and a second for each 16 MiB; a second of decoded audio adds 0.2 s.",
        ge=1,
    )
    decode_open_s: float = setting(120.0, "Time that opening one source may take, s.", gt=0)
    keep_video_origin: bool = setting(
        False, "Begin stems where the video begins: silence precedes audio that starts later."
    )
