"""``stemline login``: store how a service is reached."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from stemline.cli.examples import command_with
from stemline.cli.exits import client_errors, failure
from stemline.cli.output import as_json, print_json

if TYPE_CHECKING:
    from stemline.client import Client


def _asked(option: str, text: str, *, hide_input: bool = False) -> str:
    """Return what the user answers.

    Raises:
        click.UsageError: Nobody does.
    """
    is_hidden = hide_input and sys.stdin.isatty()  # of a pipe nothing is shown; getpass would warn
    try:
        return str(click.prompt(text, hide_input=is_hidden, err=True))
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # the question is left as it is
            raise click.UsageError(f"{option} is missing, and nobody answers") from error
        raise


def _check_keys(client: Client) -> None:
    """Check that the service is there, and takes the key pair.

    Raises:
        CommandFailed: One of them is wrong.
    """
    from stemline.client import AccessDenied, ConnectionFailed

    try:
        client.queues()
    except AccessDenied as error:
        ended = failure(error)
        if error.code in {"InvalidAccessKeyId", "SignatureDoesNotMatch"}:
            ended.hint = "check --secret-id and --secret-key"
        raise ended from error
    except ConnectionFailed as error:
        raise failure(error, hint="check --api; --no-check stores the profile without asking") from error


def _check_bucket(client: Client) -> None:
    """Check that the bucket exists in its store, and takes its keys.

    Raises:
        CommandFailed: One of them is wrong.
    """
    from stemline.client import StoreRefused, TransferFailed

    try:
        client.bucket.check()
    except StoreRefused as error:
        raise failure(error, hint="check --bucket, --s3-access-key and --s3-secret-key") from error
    except TransferFailed as error:
        hint = "check --s3-endpoint-url; --no-check stores the profile without asking"
        raise failure(error, hint=hint) from error


@command_with(
    "stemline login", "stemline login studio --api https://stemline.example.com --bucket media-1250000000"
)
@click.argument("profile", default="default")
@click.option("--api", metavar="URL", help="URL of the API.")
@click.option("--secret-id", help="SecretId of the key pair.")
@click.option("--secret-key", envvar="STEMLINE_SECRET_KEY", help="SecretKey; asked for if not given.")
@click.option("--bucket", help="Bucket whose jobs are submitted, with its APPID.")
@click.option("--region", help="Region of the bucket.")
@click.option("--host", default="", help="Host header, if it is not that of the URL.")
@click.option(
    "--ca-file",
    default="",
    type=click.Path(),
    help="PEM file of the authorities to trust; else the system's.",
)
@click.option(
    "--s3-endpoint-url", default="", help="Where the bucket is reached; else the AWS variables say."
)
@click.option("--s3-access-key", default="", help="Key of the bucket.")
@click.option("--s3-secret-key", default="", envvar="AWS_SECRET_ACCESS_KEY", help="Secret of that key.")
@click.option("--no-check", is_flag=True, help="Store it without asking the service.")
@as_json
def login(
    profile: str,
    *,
    api: str | None,
    secret_id: str | None,
    secret_key: str | None,
    bucket: str | None,
    region: str | None,
    host: str,
    ca_file: str,
    s3_endpoint_url: str,
    s3_access_key: str,
    s3_secret_key: str,
    no_check: bool,
    as_json: bool,
) -> None:
    """Store how a service is reached, after a check.

    What is not given is asked for. The profile `default` is used where nothing else names a service.
    """
    with client_errors():
        from stemline.cli.wait_notice import NoticingClient
        from stemline.client import Retry, S3Access, Target
        from stemline.client.target import save_profile

        s3 = S3Access(s3_endpoint_url, s3_access_key, s3_secret_key, path_style=bool(s3_endpoint_url))
        target = Target(
            api=api or _asked("--api", "URL of the API"),
            secret_id=secret_id or _asked("--secret-id", "SecretId"),
            secret_key=secret_key or _asked("--secret-key", "SecretKey", hide_input=True),
            bucket=bucket or _asked("--bucket", "Bucket"),
            region=region or _asked("--region", "Region"),
            host=host,
            ca_file=ca_file,
            s3=s3 if s3_access_key or s3_endpoint_url else None,
            origin=f"the profile {profile}",
        )
        if not no_check:
            with NoticingClient(target, retry=Retry(budget_s=5)) as client:
                _check_keys(client)
                if target.s3 is not None:
                    _check_bucket(client)
        file = save_profile(profile, target)
    if as_json:
        print_json({"profile": profile, "file": str(file), "checked": not no_check})
    else:
        also = " and the bucket accepts its own" if target.s3 else ""
        checked = "" if no_check else f"; {target.api} accepts the keys{also}"
        click.echo(f"The profile {profile} is stored in {file}{checked}.")
