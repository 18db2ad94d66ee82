"""Examples in the help of commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

_PROGRAM: Final = re.compile(r"(^|[|&] )stemline(?= )")


class CommandWithExamples(click.Command):
    """A command whose help ends with examples, on lines that can be copied as they are.

    Attributes:
        examples: Lines for a shell, in which the program is called ``stemline``.
    """

    def __init__(self, *args: Any, examples: Sequence[str], **options: Any) -> None:
        """Make a command.

        Args:
            args: What click's own take.
            examples: Lines for a shell.
            options: What click's own take.
        """
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as the user calls this program."""
        called = ctx.find_root().command_path
        with formatter.section("Examples"):
            for line in self.examples:
                text = _PROGRAM.sub(lambda found: found[1] + called, line)
                formatter.write(f"{'':{formatter.current_indent}}{text}\n")
        super().format_epilog(ctx, formatter)


def command_with(
    *examples: str, name: str | None = None
) -> Callable[[Callable[..., Any]], CommandWithExamples]:
    """Return a decorator that makes a command with examples.

    Args:
        examples: Lines for a shell.
        name: Of the command; by default that of the function.
    """
    return click.command(name, cls=CommandWithExamples, examples=examples)


def examples(*lines: str) -> dict[str, Any]:
    """Return the arguments of the ``command`` of a group that give a command examples."""
    return {"cls": CommandWithExamples, "examples": lines}
