"""What the site makes from the code: the page of commands, and the texts of docstrings."""

from __future__ import annotations

from html.parser import HTMLParser

import click
import markdown

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
    assert "| <code>--levels" in page


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
    assert "| <code>--size [a&#124;b]</code> | Size &lt;n>.  [default: a] |" in section[3]


def test_roles_of_docstrings_become_code() -> None:
    """A role is shown as its name, with a tilde as the last part of it."""
    assert "see `Client` or `a.b`" == plain("see :class:`~stemline.client.Client` or :func:`a.b`")


_TAGS = "h1 h2 h3 h4 p pre code span div table thead tbody tr th td"


class _Page(HTMLParser):
    """A page as a reader sees it.

    Attributes:
        text: Without tags, its white space as single spaces.
        tags: Names of all tags.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        extensions = ["attr_list", "md_in_html", "tables", "pymdownx.superfences"]
        self.feed(markdown.markdown(source, extensions=extensions))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_rendered_page_says_what_the_help_says() -> None:
    """No sign of a help text is swallowed as a tag, and none of an escape is shown."""
    page = _Page(references.commands())
    assert set() == page.tags - set(_TAGS.split())
    assert "\\|" not in page.text
    for path, command, context in references.walk(main, click.Context(main, info_name="stemline")):
        texts = [command.get_usage(context).removeprefix("Usage: "), *(command.help or "").split("\n\n")]
        records = [each.get_help_record(context) for each in command.get_params(context)]
        texts += [
            text
            for record in records
            if record and record[1] and "--help" not in record[0]
            for text in record
        ]
        for text in texts:
            shown = " ".join(text.partition("\f")[0].replace("\b", "").replace("`", "").split())
            assert shown in page.text, path
