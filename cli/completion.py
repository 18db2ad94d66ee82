"""``stemline completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click

from stemline.cli.examples import command_with


@command_with("stemline completion bash", "stemline completion zsh")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of a shell: bash, zsh or fish.

    To have it in every new shell, put this line into its file:

    \b
      ~/.bashrc                    eval "$(stemline completion bash)"
      ~/.zshrc                     eval "$(stemline completion zsh)"
      ~/.config/fish/config.fish   stemline completion fish | source

    In ~/.zshrc it comes after `autoload -Uz compinit; compinit`.
    """  # noqa: D301 - click keeps the lines after this character as they are
    from click.shell_completion import get_completion_class

    from stemline.cli.main import main

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above has what click knows
    click.echo(kind(main, {}, "stemline", "_STEMLINE_COMPLETE").source())
