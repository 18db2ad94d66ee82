"""The long-running processes: each command becomes the program that does the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

#: Kinds of workers and the Celery queues they serve beside those of the levels.
_KINDS = {"separate": (), "callbacks": ("callbacks", "sweep")}


def become(module: str, *arguments: str) -> None:
    """Replace this process by a Python program, so that signals reach it directly."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is meant


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, help="Port to listen on.")
@click.option("--processes", default=1, show_default=True, help="API processes behind that port.")
def api(host: str, port: int, processes: int) -> None:
    """Serve the HTTP interface."""
    from api.server import serve
    from jobs.settings import Settings

    serve(Settings(), host=host, port=port, processes=processes)


@click.command()
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.option("--levels", help="JobLevels to serve, in order, such as 2,1.")
@click.option("--name", help="Name of this worker, such as separate@host.")
def worker(kind: str, levels: str | None, name: str | None) -> None:
    """Run a worker: separate (the engine) or callbacks (delivery and sweeping)."""
    from jobs.settings import Settings

    settings = Settings()
    if kind == "separate":
        chosen = [int(each) for each in levels.split(",")] if levels else list(settings.worker_levels)
        if not chosen or set(chosen) - {0, 1, 2}:
            raise click.UsageError("--levels takes 0, 1 and 2, such as 2,1,0")
        os.environ["STEMLINE_WORKER_LEVELS"] = str(chosen)
        queues = ",".join(f"separate.{level}" for level in chosen)
        # A child process for the engine: the parent stays awake, and outlives a job that kills its child.
        pool = ["--pool", "prefork", "--concurrency", str(settings.worker_concurrency)]
    else:
        queues = "callbacks,sweep"
        pool = ["--pool", "threads", "--concurrency", str(settings.callback_concurrency)]
    become(
        "celery",
        *("-A", "workers.app", "worker", "-Q", queues, "-n", name or f"{kind}-{os.getpid()}@%h"),
        *("-E", "--without-gossip", "--without-mingle", "-l", settings.log_level),
        *pool,
    )


@click.command()
def beat() -> None:
    """Run the clock that starts the sweeper; one in the whole service is enough."""
    from jobs.settings import Settings

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    schedule: Path = settings.home / "beat-schedule"
    become("celery", "-A", "workers.app", "beat", "-l", settings.log_level, "-s", str(schedule))


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5555, show_default=True, help="Port to listen on.")
def flower(address: str, port: int) -> None:
    """Run Flower; FLOWER_BASIC_AUTH=user:password is required."""
    if not os.environ.get("FLOWER_BASIC_AUTH"):
        raise click.UsageError("set FLOWER_BASIC_AUTH=user:password: Flower is never served without a login")
    become("celery", "-A", "workers.app", "flower", f"--address={address}", f"--port={port}")
