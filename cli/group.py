"""Groups of commands that suggest what a mistyped command may have meant."""

from __future__ import annotations

import difflib

import click

_CALLED = "stemline.called"
"""Of a context and those within it: some errors of click name no context of their own."""


class Group(click.Group):
    """A group that names the nearest commands for an unknown one, and knows the options of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words before the command.

        Raises:
            click.UsageError: An option of the command is among them; says that it comes after the command.
        """
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            for name in words:
                command = None if name.startswith("-") else self.get_command(ctx, name)
                if command and any(error.option_name in each.opts for each in command.params):
                    ctx.fail(f"{error.option_name} comes after the command: {ctx.command_path} {name} ...")
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with.

        Raises:
            click.UsageError: There is no such command; names the nearest ones.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=3, cutoff=0.55)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"There is no command '{args[0]}'.{hint}")
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta[_CALLED] = f"{ctx.command_path} {name}"
        return name, command, rest


def called_command(ctx: click.Context) -> str:
    """Return the words that call the command whose options are read, or were read last."""
    return str(ctx.meta.get(_CALLED, ctx.command_path))
