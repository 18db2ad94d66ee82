"""The options that say which service a command talks to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from stemline.cli.exits import CommandFailed, client_errors
from stemline.cli.statuses import INTERRUPTED, NOT_FOUND

if TYPE_CHECKING:
    from stemline.client import Client

_F = TypeVar("_F", bound=Callable[..., Any])


def _profiles(_context: click.Context, _param: click.Parameter, beginning: str) -> list[CompletionItem]:
    """Return the profiles whose names begin so, for the completion of a shell."""
    from stemline.client import NotConfigured
    from stemline.client.target import profile_names

    with suppress(NotConfigured):
        return [CompletionItem(name) for name in profile_names() if name.startswith(beginning)]
    return []


_NAMES = ("profile", "api", "secret_id", "secret_key", "bucket", "region")
_OPTIONS = (
    click.option("--profile", shell_complete=_profiles, help="Use a profile that `stemline login` stored."),
    click.option("--api", metavar="URL", help="URL of the API."),
    click.option("--secret-id", help="SecretId of the key pair."),
    click.option(
        "--secret-key", help="SecretKey; STEMLINE_SECRET_KEY keeps it out of the list of processes."
    ),
    click.option("--bucket", help="Bucket whose jobs these are."),
    click.option("--region", help="Region of the bucket."),
)


def connected(command: _F) -> _F:
    """Add the options of a connection; the command gets them as ``connection``, to open a client with."""

    @wraps(command)
    def run(**arguments: Any) -> Any:
        given = {name: arguments.pop(name) or "" for name in _NAMES}
        try:
            with client_errors():
                return command(connection=Connection(given), **arguments)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None

    for option in reversed(_OPTIONS):
        run = option(run)
    return run  # type: ignore[return-value]


class Connection:
    """What the user gave, from which a client is made when it is needed."""

    def __init__(self, given: dict[str, str]) -> None:
        self._profile = given.pop("profile")
        self._given = given

    @contextmanager
    def open(self, *, budget_s: float = 4.0) -> Iterator[Client]:
        """Open a client for as long as the block runs.

        Args:
            budget_s: How long it tries again where the service does not answer.

        Raises:
            NotConfigured: No service is known.
            CommandFailed: The bucket of the user, or of a profile, does not exist.
        """
        from stemline.cli.wait_notice import NoticingClient
        from stemline.client import Retry, find
        from stemline.client.target import PROFILE_VARIABLE, VARIABLES

        target = find(self._given, profile=self._profile)
        variables = (VARIABLES["bucket"], PROFILE_VARIABLE)
        is_named = self._given["bucket"] or self._profile or any(map(os.environ.get, variables))
        with NoticingClient(target, retry=Retry(budget_s=budget_s)) as client:
            # The service opens any bucket that its key pair may use, and has no jobs of a mistyped one.
            # Keys in AWS' own variables may be those of another store, which is not asked.
            has_store = target.s3 is not None and target.s3.endpoint_url
            if (is_named or not target.is_local) and has_store and client.bucket.is_missing():
                raise CommandFailed(
                    f"there is no bucket {target.bucket} in the store of {target.origin}",
                    hint="check --bucket and STEMLINE_BUCKET, or the bucket of the profile",
                    status=NOT_FOUND,
                )
            yield client
