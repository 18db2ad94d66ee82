"""``stemline events``: what changes, as it happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.output import COLOURS, as_json, local_time, print_json, printable
from stemline.cli.words import WORD, Word

if TYPE_CHECKING:
    from stemline.client.events import Event


class _EventId(Word):
    """The id of an event."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what no event has as its id."""
        from stemline.wire.queries import EVENT_ID

        text = super().convert(value, param, ctx)
        try:
            EVENT_ID.read(text)
        except ValueError:
            self.fail(f"{printable(text)} is not the id of an event; --json prints ids", param, ctx)
        return text


@command_with("stemline events", "stemline events ID --json")
@click.argument("job", required=False, type=WORD, default=None)
@click.option("--after", type=_EventId(), help="Id of an event: begin with the one that follows it.")
@as_json
@connected
def events(connection: Connection, *, job: str | None, after: str | None, as_json: bool) -> None:
    """Print what changes in the bucket, until Ctrl-C.

    With JOB, what changes with this job, from its present state to its end. A broken connection is
    reopened, and no event is missed or printed twice. Each event has an id, which `--json` prints: `--after`
    goes on from there.
    """
    with connection.open() as client:
        for event in client.events(job or "", last=after or ""):
            if as_json:
                print_json({"event": event.kind, "id": event.id, **event.raw})
            elif event.kind == "reset":
                click.echo("some events were missed: they are kept for a limited time", err=True)
            elif event.kind != "open":
                click.echo("\t".join(_texts(event)))
            sys.stdout.flush()


def _texts(event: Event) -> list[str]:
    """Return time, kind, subject, state and what else is known of an event."""
    details = [
        event.stage,
        f"{event.progress} %" if event.progress else "",
        f"place {event.position}" if event.position else "",
        event.code if event.code != "Success" else "",  # which every state has where nothing went wrong
    ]
    kind, subject, detail = map(printable, (event.kind, event.subject, " ".join(filter(None, details))))
    state = click.style(printable(event.state or "-"), fg=COLOURS.get(event.state))
    return [local_time(event.at), kind, subject, state, detail]
