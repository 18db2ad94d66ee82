"""What commands print as a table on a terminal."""

from __future__ import annotations

from rich.console import Console

from stemline.cli.output import Column, table


def test_a_long_text_beside_an_id_is_wrapped_whole() -> None:
    """On a narrow terminal ids stay in one piece, and no letter of the texts beside them is lost."""
    job, source = "j" + "0" * 32, "uploads/f8e3e6ea5c0a7e32/4e8c6b696793567c/one.mp3"
    console = Console(width=60)
    with console.capture() as captured:
        console.print(table([Column("Job", is_id=True), Column("Source")], [[job, source]], console.width))
    lines = captured.get().splitlines()[1:]
    assert lines[0].startswith(f"{job}  ")
    assert source == "".join(line[len(job) :].strip() for line in lines)
