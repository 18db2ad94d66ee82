"""``stemline up``: run the local stack in the foreground."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import click

from stemline.cli.examples import command_with
from stemline.cli.exits import CommandFailed
from stemline.cli.output import as_json, print_json, screen
from stemline.cli.program import program
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from rich.console import Console

    from stemline.deploy.local.stack import Stack
    from stemline.runtime.settings import Settings


def stop_on_signals() -> Callable[[], bool]:
    """Raise KeyboardInterrupt on Ctrl-C, SIGTERM and SIGHUP.

    Returns:
        Whether such a signal came. Python drops an exception that is raised while it runs a destructor, so a
        loop must ask.
    """
    came = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    return lambda: came


def banner(stack: Stack) -> list[tuple[str, str]]:
    """Return names and values of what a user needs, with the most useful first."""
    addresses = stack.addresses
    return [
        ("Console", addresses.console_link),
        ("API", addresses.api),
        *([("CA to trust", addresses.ca_file)] if addresses.ca_file else []),
        ("SecretId", addresses.secret_id),
        ("SecretKey", addresses.secret_key),
        ("Bucket", addresses.bucket),
        ("Region", addresses.region),
        ("Webhook", addresses.webhook_secret),
        ("S3", addresses.s3_endpoint_url),
        ("S3 key", addresses.s3_access_key),
        ("S3 secret", addresses.s3_secret_key),
        ("Flower", f"{addresses.flower_url}  {addresses.flower_user} {addresses.flower_password}"),
        ("Redis", addresses.redis_url),
        ("As JSON", str(stack.home.stack_file)),
        ("Logs", str(stack.home.logs)),
    ]


def print_banner(console: Console, stack: Stack) -> None:
    """Print the addresses and keys of a stack: each value on a line of its own, so that it can be copied."""
    console.print("[bold]Stemline is up.[/] Stop it with Ctrl-C.")
    for name, value in banner(stack):
        # Not wrapped by rich: a terminal that wraps a line itself still copies it as one.
        console.print(f"  [bold]{name:<12}[/]", end="")
        console.print(value, markup=False, highlight=False, soft_wrap=True)
    console.print("Next, in another terminal:")
    console.print(f"  {program()} submit song.mp3 -o stems", style="bold", markup=False, soft_wrap=True)


def fetch_weights(console: Console, settings: Settings) -> None:
    """Fetch the weights of the 2-stem model unless they are here; without them the first jobs wait."""
    from rich.markup import escape

    from stemline.cli.model_download import fetch_with_bar
    from stemline.models.catalogue import model_named
    from stemline.models.weights import WeightStore
    from stemline.separation.errors import SeparationError

    store, model = WeightStore(settings.engine.models_dir), model_named("2stems")
    wanted = settings.engine.models_fetch or "STEMLINE_MODELS_FETCH" not in os.environ
    if not wanted or store.has(model):
        return
    console.print(f"Fetching the weights of {model.name} into {store.directory} ...", style="dim")
    try:
        fetch_with_bar(console, store, model, mirror=settings.engine.models_mirror)
    except (SeparationError, OSError) as error:
        console.print(f"[yellow]The weights could not be fetched:[/] {escape(reason_of(error))}")
        console.print("The worker tries again when a job needs them; until then jobs wait.")


@command_with("stemline up", "stemline up --tls")
@click.option("--tls", is_flag=True, help="Serve https with a certificate of the stack's own authority.")
@as_json
def up(*, tls: bool, as_json: bool) -> None:
    """Run the whole service on this machine until Ctrl-C.

    With --json, addresses and keys are one line on the standard output.
    """
    from stemline.deploy.local.stack import Stack, StackError
    from stemline.runtime import extras
    from stemline.runtime.settings import Settings

    extras.require("local")
    console = screen(stderr=as_json)
    stopping = stop_on_signals()
    settings = Settings()
    home = settings.local.home
    fetch_weights(console, settings)
    stack = Stack(home, report=lambda text: console.print(text, style="dim"), tls=tls)
    ready = False
    try:
        with stack:
            ready = True
            if as_json:
                print_json(json.loads(stack.home.stack_file.read_text()))
            else:
                print_banner(console, stack)
            while not stopping():
                time.sleep(0.5)
                stack.check()
    except KeyboardInterrupt:
        pass
    except StackError as error:
        if not ready:
            raise CommandFailed(str(error)) from error
        console.print(f"[bold red]The stack has stopped:[/] {error}")
        sys.exit(1)
    console.print(f"Stopped. The data is kept in {home}", markup=False, soft_wrap=True)
