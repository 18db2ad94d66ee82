"""What the site makes from the code: the page of commands, and the texts of docstrings."""

from __future__ import annotations

import click

from stemline.cli.main import main
from tools.docs import references
from tools.docs.docstring_roles import plain


def leaves(command: click.Command, context: click.Context) -> list[str]:
    """The paths of all commands, from the commands themselves."""
    if not isinstance(command, click.Group):
        return [context.command_path]
    return [
        path
        for name in command.list_commands(context)
        if (child := command.get_command(context, name)) is not None and not child.hidden
        for path in leaves(child, click.Context(child, info_name=name, parent=context))
    ]


def test_every_command_has_a_section() -> None:
    """The page has a heading and the usage of each command, and a row for each of its options."""
    page = references.commands()
    paths = leaves(main, click.Context(main, info_name="stemline"))
    assert "stemline callbacks replay" in paths
    for path in paths:
        assert f"# {path}\n\n```text\n{path} " in page
    assert "| `--levels" in page


def test_a_command_is_shown_with_all_that_help_says() -> None:
    """Usage, text with kept lines, and options with defaults are shown; the signs of tables are escaped."""

    @click.command()
    @click.argument("file")
    @click.option("--size", type=click.Choice(["a", "b"]), default="a", show_default=True, help="Size <n>.")
    def made(file: str, size: str) -> None:
        """Make FILE.

        \b
        one
        two
        """

    section = references.section("stemline made", made, click.Context(made, info_name="made"))
    assert ["## stemline made", "```text\nstemline made [OPTIONS] FILE\n```"] == section[:2]
    assert "Make FILE.\n\n```text\none\ntwo\n```" == section[2]
    assert "| `--size [a\\|b]` | Size &lt;n>.  [default: a] |" in section[3]


def test_roles_of_docstrings_become_code() -> None:
    """A role is shown as its name, with a tilde as the last part of it."""
    assert "see `Client` or `a.b`" == plain("see :class:`~stemline.client.Client` or :func:`a.b`")
