"""``stemline up``: the local stack in the foreground."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.panel import Panel

    from stemline.deploy.local.stack import Stack


def on_signals_stop() -> None:
    """Make TERM and HUP end the stack as Ctrl-C does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def banner(stack: Stack) -> Panel:
    """Where everything is."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    where = stack.addresses
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("API", where.api),
        ("Console", f"{where.api}/console"),
        ("SecretId", where.secret_id),
        ("SecretKey", where.secret_key),
        ("Region, bucket", f"{where.region}, {where.bucket}"),
        ("S3", where.s3_endpoint_url),
        ("S3 keys", f"{where.s3_access_key} {where.s3_secret_key}"),
        ("Flower", f"{where.flower_url}  ({where.flower_user} / {where.flower_password})"),
        ("Redis", where.redis_url),
        ("All of this", str(stack.home.stack_file)),
        ("Logs", str(stack.home.logs)),
    ):
        table.add_row(f"[bold]{name}[/]", Text(value, overflow="fold"))
    return Panel(table, title="Stemline is up", subtitle="Ctrl-C ends it", expand=False)


@click.command()
def up() -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from rich.console import Console

    from stemline.deploy.local.stack import Stack, StackError
    from stemline.runtime.settings import Settings

    console = Console()
    on_signals_stop()
    home = Settings().local.home
    stack = Stack(home, report=lambda text: console.print(text, style="dim"))
    try:
        with stack:
            console.print(banner(stack))
            while True:
                time.sleep(0.5)
                stack.check()
    except KeyboardInterrupt:
        console.print("Stopped. Data stays in", str(home))
    except StackError as error:
        console.print(f"[bold red]The stack has stopped:[/] {error}")
        sys.exit(1)
