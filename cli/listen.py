"""``stemline listen``: a receiver that prints callbacks, for development."""

from __future__ import annotations

import errno

import click

from stemline.cli.examples import command_with
from stemline.cli.exits import CommandFailed, check_output
from stemline.cli.output import as_json, screen
from stemline.cli.statuses import INTERRUPTED


@command_with("stemline listen --port 8989", "stemline listen --answer 503", name="listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8989,
    type=click.IntRange(0, 65535),
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="WEBHOOK_SECRET",
    help="Check signatures with this webhook secret (whsec_…); also $WEBHOOK_SECRET.  [default: the stack's]",
)
@click.option(
    "--answer",
    "status",
    default=200,
    type=click.IntRange(200, 599),
    show_default=True,
    help="HTTP status to answer with.",
)
@click.option(
    "--forward", metavar="URL", default="", help="Send each callback on, and answer with the status it gets."
)
@as_json
def listen(
    host: str, port: int, secrets: tuple[str, ...], status: int, forward: str, *, as_json: bool
) -> None:
    """Receive callbacks, answer and print them, until Ctrl-C.

    The exit status is then 130.
    """
    from stemline.cli.listener import Behaviour, Listener
    from stemline.cli.local_stack import webhook_secrets

    if forward and not forward.startswith(("http://", "https://")):
        raise click.UsageError("--forward takes a URL that begins with http:// or https://")
    _check_secrets(secrets)
    behaviour = Behaviour(secrets or webhook_secrets(), status, forward, as_json)
    notes = screen(stderr=as_json)
    try:
        listener = Listener((host, port), screen(), behaviour)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "another program listens there: take --port 0, or end it"
            raise CommandFailed(f"port {port} of {host} is taken", hint=hint) from error
        raise CommandFailed(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    with listener:
        url = f"http://{host}:{listener.server_port}/"
        notes.print(f"Listening on {url}. Submit jobs with --callback {url}; stop with Ctrl-C.", markup=False)
        if forward:
            notes.print(f"Callbacks are sent on to {forward}.", markup=False)
        try:
            listener.serve_forever()
        except KeyboardInterrupt:
            notes.print("Stopped.")
            raise SystemExit(INTERRUPTED) from None
        if listener.fault is not None:
            check_output(listener.fault)
            raise listener.fault


def _check_secrets(secrets: tuple[str, ...]) -> None:
    """Check that signatures can be made with each secret.

    Raises:
        click.BadParameter: One of them is not valid.
    """
    from stemline.callbacks.webhook_signature import signed_headers

    try:
        signed_headers("", 0, b"", secrets)
    except ValueError as error:
        message = "a webhook secret is whsec_ and base64, as `stemline up` prints it"
        raise click.BadParameter(message, param_hint="'--secret'") from error
