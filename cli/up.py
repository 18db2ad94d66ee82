"""``stemline up``: run the local stack in the foreground."""

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


def stop_on_signals() -> None:
    """Stop the stack on SIGTERM and SIGHUP in the same way as on Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def banner(stack: Stack) -> Panel:
    """Return a panel with the addresses and credentials of a stack."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    addresses = stack.addresses
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("API", addresses.api),
        ("Console", f"{addresses.api}/console"),
        ("SecretId", addresses.secret_id),
        ("SecretKey", addresses.secret_key),
        ("Region, bucket", f"{addresses.region}, {addresses.bucket}"),
        ("S3", addresses.s3_endpoint_url),
        ("S3 keys", f"{addresses.s3_access_key} {addresses.s3_secret_key}"),
        ("Flower", f"{addresses.flower_url}  ({addresses.flower_user} / {addresses.flower_password})"),
        ("Redis", addresses.redis_url),
        ("As JSON", str(stack.home.stack_file)),
        ("Logs", str(stack.home.logs)),
    ):
        table.add_row(f"[bold]{name}[/]", Text(value, overflow="fold"))
    return Panel(table, title="Stemline is up", subtitle="Stop it with Ctrl-C", expand=False)


@click.command()
def up() -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from rich.console import Console

    from stemline.deploy.local.stack import Stack, StackError
    from stemline.runtime.settings import Settings

    console = Console()
    stop_on_signals()
    home = Settings().local.home
    stack = Stack(home, report=lambda text: console.print(text, style="dim"))
    try:
        with stack:
            console.print(banner(stack))
            while True:
                time.sleep(0.5)
                stack.check()
    except KeyboardInterrupt:
        console.print("Stopped. The data is kept in", str(home))
    except StackError as error:
        console.print(f"[bold red]The stack has stopped:[/] {error}")
        sys.exit(1)
