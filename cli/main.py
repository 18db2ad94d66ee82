"""The ``stemline`` command; each of its commands is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import click


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for it."""

    commands_by_name: ClassVar[dict[str, str]] = {
        "api": "cli.serve:api",
        "beat": "cli.serve:beat",
        "callbacks": "cli.callbacks:callbacks",
        "demo": "cli.demo:demo",
        "doctor": "cli.doctor:doctor",
        "flower": "cli.serve:flower",
        "health": "cli.health:health",
        "listen": "cli.listen:listen",
        "models": "cli.models:models",
        "separate": "cli.separate:separate",
        "settings": "cli.settings:settings",
        "up": "cli.up:up",
        "worker": "cli.serve:worker",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; settings that are wrong are told by name, never by value."""
        try:
            return super().invoke(ctx)
        except ValueError as error:
            from cli.settings import complaint

            if (text := complaint(error)) is None:
                raise
            raise click.ClickException(text) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*super().list_commands(ctx), *self.commands_by_name})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        target = self.commands_by_name.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a slip in the table above
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stemline")
def main() -> None:
    """Voice separation as a job service."""
    from jobs.logging import for_people

    for_people()


if __name__ == "__main__":
    main()
