"""The commands of the long-running processes: ``api``, ``worker``, ``beat``, ``flower``."""

from __future__ import annotations

import os
import sys

import click

from stemline.cli.examples import command_with


@command_with("stemline api", "stemline api --host 0.0.0.0 --port 8787 --processes 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, help="Port to listen on.")
@click.option("--processes", default=1, show_default=True, help="Number of processes that share the port.")
def api(host: str, port: int, processes: int) -> None:
    """Serve the HTTP API."""
    from stemline.runtime import bootstrap
    from stemline.runtime.settings import Settings

    bootstrap.serve_api(Settings(), host=host, port=port, processes=processes)


@command_with(
    "stemline worker separate", "stemline worker separate --levels 2,1", "stemline worker callbacks"
)
@click.argument("kind", type=click.Choice(["separate", "callbacks"]))
@click.option(
    "--levels", help="JobLevels to process, in this order, such as 2,1.  [default: STEMLINE_WORKER_LEVELS]"
)
@click.option("--name", help="Name of the worker in Flower, such as separate@host.")
def worker(kind: str, levels: str | None, name: str | None) -> None:
    """Run a worker, for jobs or for callbacks.

    `separate` runs jobs; `callbacks` delivers callbacks and runs sweeps.
    """
    from celery.utils.nodenames import default_nodename

    from stemline.runtime import bootstrap
    from stemline.runtime.compat.celery import end_well_after_sigint
    from stemline.runtime.settings import Settings
    from stemline.workers.app import CALLBACKS, SWEEPS, separate_queue

    chosen = _parse_levels(levels)
    settings = Settings(worker_levels=chosen) if chosen else Settings()
    if kind == "separate":
        app = bootstrap.separation_worker(settings)
        queues = [separate_queue(level) for level in settings.workers.levels]
        # On CPUs an engine runs in a child process: the parent keeps answering, and survives its crash. The
        # jobs of a GPU are threads of one process, so that their segments share its batches.
        pool = "threads" if settings.engine.device == "cuda" else "prefork"
        concurrency = settings.workers.slots(settings.engine.device)
    else:
        app = bootstrap.callback_worker(settings)
        queues = [CALLBACKS, SWEEPS]
        pool, concurrency = "threads", settings.callbacks.concurrency
    end_well_after_sigint()
    # Celery's own command line would load its plug-ins, such as Flower, into every worker.
    process = app.Worker(
        hostname=default_nodename(name or f"{kind}-{os.getpid()}"),
        queues=queues,
        pool=pool,
        concurrency=concurrency,
        loglevel=settings.logging.level,
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        quiet=True,  # no banner between the log lines
    )
    process.start()
    sys.exit(process.exitcode)


def _parse_levels(text: str | None) -> tuple[int, ...]:
    """Return the JobLevels of ``--levels``; none if the option was not given."""
    if text is None:
        return ()
    try:
        levels = tuple(int(each) for each in text.split(","))
    except ValueError:
        levels = ()
    if not levels or set(levels) - {0, 1, 2}:
        raise click.UsageError("--levels takes 0, 1 and 2, such as 2,1,0")
    return levels


@command_with("stemline beat")
def beat() -> None:
    """Run Celery beat, which starts the sweeps.

    One per installation is enough.
    """
    from stemline.runtime import bootstrap
    from stemline.runtime.settings import Settings

    settings = Settings()
    bootstrap.beat(settings).Beat(loglevel=settings.logging.level, quiet=True).run()


@command_with("stemline flower --port 5555")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5555, show_default=True, help="Port to listen on.")
@click.option("--control", is_flag=True, help="Allow Flower to revoke tasks and to change workers.")
def flower(address: str, port: int, *, control: bool) -> None:
    """Serve Flower, read-only by default.

    A login is required: set FLOWER_BASIC_AUTH=user:password.
    """
    logins = os.environ.get("FLOWER_BASIC_AUTH", "").split(",")
    if not all(login.isascii() and all(login.partition(":")[::2]) for login in logins):
        raise click.UsageError(
            "set FLOWER_BASIC_AUTH=user:password, in ASCII, with both of each login; "
            "Flower is never served without a login"
        )
    from stemline.runtime import bootstrap
    from stemline.runtime.settings import Settings
    from stemline.runtime.settings.variables import PLACEHOLDER

    if any(login.endswith(f":{PLACEHOLDER}") for login in logins):
        raise click.UsageError(
            f"FLOWER_BASIC_AUTH has the password {PLACEHOLDER} of the example; set your own"
        )

    bootstrap.serve_flower(Settings(), address=address, port=port, control=control)
