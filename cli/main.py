"""The ``stemline`` command; each subcommand is imported only when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
from typing import Any, ClassVar

import click

from stemline.cli.exits import CommandFailed, check_output, ended_at_once, failure
from stemline.cli.group import Group, called_command
from stemline.cli.program import program, spelled
from stemline.cli.statuses import INTERRUPTED, USAGE

#: Commands that import nothing which logs by itself, and start sooner without what writes the lines.
_LOGGING_LATER = {"separate"}


_SERVICES = {"api", "beat", "flower", "worker"}
"""Commands whose errors are lines of their logs."""


class LazyGroup(Group):
    """A group that imports a subcommand when it is looked up."""

    commands_by_name: ClassVar[dict[str, str]] = {
        "api": "stemline.cli.serve:api",
        "batches": "stemline.cli.batches:batches",
        "beat": "stemline.cli.serve:beat",
        "callbacks": "stemline.cli.callbacks:callbacks",
        "cancel": "stemline.cli.change_jobs:cancel",
        "completion": "stemline.cli.completion:completion",
        "demo": "stemline.cli.demo:demo",
        "doctor": "stemline.cli.doctor:doctor",
        "events": "stemline.cli.events:events",
        "fetch": "stemline.cli.fetch:fetch",
        "flower": "stemline.cli.serve:flower",
        "health": "stemline.cli.health:health",
        "job": "stemline.cli.jobs:job",
        "jobs": "stemline.cli.jobs:jobs",
        "listen": "stemline.cli.listen:listen",
        "login": "stemline.cli.login:login",
        "models": "stemline.cli.models:models",
        "pause": "stemline.cli.queues:pause",
        "queues": "stemline.cli.queues:queues",
        "resume": "stemline.cli.queues:resume",
        "retry": "stemline.cli.change_jobs:retry",
        "separate": "stemline.cli.separate:separate",
        "settings": "stemline.cli.settings:settings",
        "store": "stemline.cli.store:store",
        "submit": "stemline.cli.submit:submit",
        "templates": "stemline.cli.templates:templates",
        "up": "stemline.cli.up:up",
        "usage": "stemline.cli.usage:usage",
        "worker": "stemline.cli.serve:worker",
    }

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program under the name by which the user's shell finds it."""
        if (args[0] if args else options.get("args")) is None:  # called by its script
            options = {"prog_name": program(), "complete_var": "_STEMLINE_COMPLETE", **options}
            with ended_at_once():
                return super().main(*args, **options)
        return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the words of the command line; a wrong one is said in one line with a hint."""
        try:
            return super().make_context(*args, **options)
        except click.UsageError as error:
            raise _usage(error) from error
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except OSError as error:  # of what --help prints
            check_output(error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises is the end of a command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as error:
            if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
                raise SystemExit(INTERRUPTED) from None
            raise  # nobody answers a question
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if (ended := _ended(error, ctx)) is error:
                raise
            raise ended from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, sorted."""
        return sorted({*super().list_commands(ctx), *self.commands_by_name})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the subcommand of that name."""
        target = self.commands_by_name.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is wrong
        return command


def _ended(error: Exception, context: click.Context) -> Exception:
    """Return how a command ends that raises an error; a service logs where an unexpected one was raised.

    Invalid settings are named; their values are not shown.
    """
    match error:
        case click.UsageError():
            return _usage(error, context)
        case click.ClickException():
            error.message = spelled(error.message)  # type: ignore[misc] # click's own, for all of its errors
            return error
        case ModuleNotFoundError() if (missing := _missing(error)) is not error:
            return missing
        case OSError():
            check_output(error)
        case ValueError():
            from stemline.cli.settings import describe_invalid_settings

            if (text := describe_invalid_settings(error)) is not None:
                return click.ClickException(text)
    return error if context.invoked_subcommand in _SERVICES else failure(error)


def _missing(error: ModuleNotFoundError) -> Exception:
    """Return how a command ends that lacks a package; the error itself if the module is one of ours.

    Commands import what they need when they run; each extra brings the packages of some of them.
    """
    from stemline.runtime.errors import PackagesMissing
    from stemline.runtime.extras import extra_of, how_to_install

    module = (error.name or "").partition(".")[0]
    if module in {"", "stemline"}:
        return error
    return click.ClickException(str(PackagesMissing([module], how_to_install(extra_of(module)))))


def _usage(error: click.UsageError, context: click.Context | None = None) -> click.ClickException:
    """Return how a command ends whose words are wrong.

    Args:
        error: Error in the words.
        context: Context of the program, which knows the command that was called.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    called = called_command(context) if context else program()
    path = error.ctx.command_path if error.ctx else called
    return CommandFailed(error.format_message(), hint=f"see `{path} --help`", status=USAGE)


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="stemline", message="stemline %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Voice separation as a job service."""
    if context.invoked_subcommand is None:
        from stemline.cli.first_steps import first_steps

        click.echo(first_steps(shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000))
        return
    # Python processes that are started from here must not import modules from the current folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # numpy's products are small here, and its further threads would spin between them beside the networks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stemline.cli.output import take_every_name
    from stemline.runtime import loopback

    take_every_name()

    loopback.exempt_from_proxies()
    if context.invoked_subcommand in _LOGGING_LATER:
        from stemline.separation.logs import configure_later

        configure_later(_configure_logs, least=logging.WARNING)
    else:
        _configure_logs()


def _configure_logs() -> None:
    from stemline.runtime.logging import configure_console

    configure_console(logging.WARNING)


if __name__ == "__main__":
    main()
