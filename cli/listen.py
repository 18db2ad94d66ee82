"""``stemline listen``: a receiver that prints callbacks, for development."""

from __future__ import annotations

import click


@click.command(name="listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8989, show_default=True, help="Port to listen on.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="WEBHOOK_SECRET",
    help="Check signatures with this webhook secret (whsec_…); also $WEBHOOK_SECRET.",
)
@click.option("--answer", "status", default=200, show_default=True, help="HTTP status to answer with.")
def listen(host: str, port: int, secrets: tuple[str, ...], status: int) -> None:
    """Receive callbacks and print them, until Ctrl-C."""
    from rich.console import Console

    from stemline.cli.listener import Listener

    console = Console()
    with Listener((host, port), console, secrets=secrets, status=status) as listener:
        url = f"http://{host}:{listener.server_port}/"
        console.print(f"Listening. Submit jobs with [bold]<CallBack>{url}</CallBack>[/]; stop with Ctrl-C.")
        try:
            listener.serve_forever()
        except KeyboardInterrupt:
            console.print("Stopped.")
