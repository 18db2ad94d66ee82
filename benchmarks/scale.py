"""What more workers bring, and what a job costs the store.

One Valkey (append-only file on), one SeaweedFS, and 1, 2, 4 and 8 separation workers, each in a network
namespace with an address of its own where that is possible. Jobs are put into the store directly (the API
has a benchmark of its own), the whole backlog before the first worker starts. Everything but the engine is
real: claim, lease, download, multipart uploads, publishing. THE ENGINE IS A STUB THAT SLEEPS, as a worker
waits for its GPU; with fewer cores than workers nothing else could show whether the queue scales.

    python -m benchmarks.scale [--jobs 10000] [--workers 1,2,4,8] [--sleep 0.25] [--real SECONDS_OF_AUDIO]

``--real`` replaces the stub by the real engine on one thread a worker.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.backlog import Plan, Row, run
from benchmarks.report import RESULTS, Report

SHORT = {
    "workers": "workers",
    "jobs": "jobs",
    "jobs_per_s": "jobs/s",
    "gap_median": "worker idle between two jobs, median, ms",
    "lost": "lost",
    "twice": "done twice",
    "valkey_commands_per_job": "Valkey: commands a job",
    "valkey_cpu_ms_per_job": "Valkey: processor ms a job",
    "worker_cpu_ms_per_job": "worker: processor ms a job",
}
"""The columns that docs/scaling.md shows, with their headings there."""


def fill(report: Report, rows: list[Row]) -> None:
    """Put the rows into a report: all columns, those of the page, and throughput by the number of workers."""
    values = [asdict(row) for row in rows]
    report.table(
        "all", [name.replace("_", " ") for name in values[0]], [list(each.values()) for each in values]
    )
    report.table("short", list(SHORT.values()), [[f"{each[name]:,}" for name in SHORT] for each in values])
    for row in rows:
        label = f"{row.workers} workers"
        report.add(f"jobs_per_s_{row.workers}", [row.jobs_per_s], unit="jobs/s", label=label)
    for row in rows[1:]:
        times = row.jobs_per_s / rows[0].jobs_per_s
        label = f"{row.workers} workers against {rows[0].workers}"
        report.add(f"times_{row.workers}", [times], unit="times", label=label)


def plot(rows: list[Row], path: Path, title: str) -> None:
    """Throughput over workers, with the line of perfect scaling."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a picture is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6, 4))
    workers = [row.workers for row in rows]
    axes.plot(workers, [row.jobs_per_s for row in rows], "o-", label="measured")
    axes.plot(workers, [rows[0].jobs_per_s * w / workers[0] for w in workers], "--", label="perfect")
    axes.set(xlabel="workers", ylabel="jobs per second", title=title, xticks=workers)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="for most workers; fewer get their share")
    parser.add_argument("--workers", default="1,2,4,8")
    parser.add_argument("--sleep", type=float, default=0.25, help="seconds the stub takes for a job")
    parser.add_argument("--real", type=float, default=0.0, help="real engine, on so many seconds of audio")
    parser.add_argument("--processes", action="store_true", help="no network namespaces")
    parser.add_argument(
        "--name", default="", help="of the files in benchmarks/results; none are written without"
    )
    options = parser.parse_args()
    numbers = [int(each) for each in options.workers.split(",")]
    what = (
        f"real engine, {options.real:g} s of audio"
        if options.real
        else f"stub engine, sleeps {options.sleep:g} s"
    )
    rows = []
    for workers in numbers:
        count = max(10, options.jobs * workers // max(numbers))
        print(f"{workers} workers, {what}", flush=True)
        rows.append(run(Plan(workers, count, options.sleep, options.real, not options.processes)))
        print(
            f"  {rows[-1].jobs_per_s} jobs/s, lost {rows[-1].lost}, done twice {rows[-1].twice}", flush=True
        )
    if options.name:
        title = f"Workers against one Valkey and one S3 ({what})"
        report = Report(options.name, title, ["benchmarks/scale.py", "benchmarks/backlog.py"])
        fill(report, rows)
        report.write()
        plot(rows, RESULTS / f"{options.name}.svg", what)


if __name__ == "__main__":
    main()
