"""``stemline settings``: what can be turned, and what is wrong with how it is turned."""

from __future__ import annotations

import click


def complaint(error: ValueError) -> str | None:
    """What is wrong with the settings, without any value; None where the error is another kind's."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from stemline.runtime.settings import PREFIX, Settings

    if isinstance(error, SettingsError):
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        return f"{error}{cause}"
    if not isinstance(error, ValidationError) or error.title != Settings.__name__:
        return None
    lines = []
    for each in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in each["loc"][1:])
        name = (
            f"{PREFIX}{str(each['loc'][0]).upper()}{' at ' + place if place else ''}: " if each["loc"] else ""
        )
        lines.append(name + each["msg"].removeprefix("Value error, "))
    return "The settings are wrong.\n" + "\n".join(lines)


@click.command()
@click.option("--check", is_flag=True, help="Only say whether those of this environment are right.")
def settings(*, check: bool) -> None:
    """Print the page about all settings (Markdown)."""
    if check:
        from stemline.runtime.settings import Settings

        Settings()
        print("The settings are right.")
        return
    from stemline.runtime.settings.page import page

    print(page(), end="")
