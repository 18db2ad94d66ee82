"""Record commands in a terminal and draw what they print as an animated SVG: ``make recording``.

The commands really run, in a pseudo-terminal. Pauses are shortened; what is printed is not changed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import pyte
from pyte.screens import Char

from stemline.testing.processes import running_stack

REPOSITORY = Path(__file__).resolve().parents[2]
#: The commands of the README's recording; the second half runs beside a stack, as the comment says.
ALONE = ("make demo",)
BESIDE_A_STACK = (
    "# make up is running in another terminal",
    ".venv/bin/stemline submit demo-output/mix.wav -o stems",
    ".venv/bin/stemline submit album/ -o stems --codec mp3",
    ".venv/bin/stemline jobs",
)
COLUMNS, ROWS = 100, 24
#: A pause is drawn no longer than this, s.
LONGEST_PAUSE_S = 1.2
#: Frames that follow each other sooner are drawn as one, s.
SHORTEST_FRAME_S = 0.1
#: How long the end is shown before it begins anew, s.
LAST_FRAME_S = 6.0
_SPINNER = re.compile("[\N{BRAILLE PATTERN BLANK}-\N{BRAILLE PATTERN DOTS-12345678}]")
_CHAR_PX, _LINE_PX, _MARGIN_PX = 8.0, 18, 14
_BACKGROUND, _FOREGROUND, _GREY = "#16181d", "#d8dee9", "#7b8494"
_COLOURS = {
    "black": "#3b4252", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "yellow": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d8dee9",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Output:
    """What was printed, and when."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The screen for a time."""

    lasts_s: float
    lines: tuple[str, ...]
    """Each line as SVG, without its position."""


def run(
    command: str, folder: Path, variables: Mapping[str, str], *, limit_s: float = 300
) -> Iterator[Output]:
    """Run a shell command in a terminal and yield what it prints, beginning with the command itself.

    Raises:
        RuntimeError: It fails or takes too long.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        **variables,
    }
    start = time.monotonic()
    yield Output(0.0, "\x1b[1;32m$\x1b[0m ")
    for number, char in enumerate(command):
        yield Output(0.4 + number * 0.04, char)
    yield (typed := Output(0.8 + len(command) * 0.04, "\r\n"))
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        while True:
            if time.monotonic() - start > limit_s:
                raise RuntimeError(f"{command} has not ended after {limit_s:g} s")
            if select.select([ours], [], [], 1)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # all of its ends are closed
                    break
                yield Output(typed.at_s + time.monotonic() - start, data.decode(errors="replace"))
        if status := process.wait(30):
            raise RuntimeError(f"{command} ended with {status}")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def frames(outputs: Sequence[Output]) -> list[Frame]:
    """Return the screens that outputs make one after another, with shortened pauses."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    made: list[Frame] = []
    shown_at = 0.0
    for output, following in pairwise(outputs):
        stream.feed(output.text)
        if following.at_s - shown_at >= SHORTEST_FRAME_S:
            made.append(Frame(following.at_s - shown_at, drawn(screen)))
            shown_at = following.at_s
    stream.feed(outputs[-1].text)
    moving = [frame for _, same in groupby(made, key=without_spinner) for frame in shortened(same)]
    return [*moving, Frame(LAST_FRAME_S, drawn(screen))]


def without_spinner(frame: Frame) -> tuple[str, ...]:
    """Return the lines of a frame without the characters that only turn."""
    return tuple(_SPINNER.sub("", line) for line in frame.lines)


def shortened(same: Iterable[Frame]) -> Iterator[Frame]:
    """Yield frames in which nothing but a spinner moves, for the time of a pause at most."""
    left_s = LONGEST_PAUSE_S
    for frame in same:
        if left_s > 0:
            yield Frame(min(frame.lasts_s, left_s), frame.lines)
        left_s -= frame.lasts_s


def drawn(screen: pyte.Screen) -> tuple[str, ...]:
    """Return each line of a screen as SVG."""
    return tuple(
        line_of([screen.buffer[row][column] for column in range(screen.columns)])
        for row in range(screen.lines)
    )


def line_of(chars: Sequence[Char]) -> str:
    """Return a line as SVG: one text for each run of characters that look the same."""
    parts, column = [], 0
    for (fore, back, bold), group in groupby(chars, key=look):
        text = "".join(char.data for char in group)
        at, width = column * _CHAR_PX, len(text) * _CHAR_PX
        column += len(text)
        if back:
            parts.append(f'<rect x="{at:g}" y="-13" width="{width:g}" height="{_LINE_PX}" fill="{back}"/>')
        if stripped := text.rstrip():
            weight = ' font-weight="bold"' if bold else ""
            length = f' textLength="{len(stripped) * _CHAR_PX:g}"'
            parts.append(f'<text x="{at:g}" fill="{fore}"{weight}{length}>{escape(stripped)}</text>')
    return "".join(parts)


def look(char: Char) -> tuple[str, str, bool]:
    """Return colour, background (empty for the usual one) and weight of a character."""
    fore = colour(char.fg, _FOREGROUND)
    back = colour(char.bg, "")
    if char.reverse:
        fore, back = back or _BACKGROUND, fore
    return fore, back, char.bold


def colour(name: str, default: str) -> str:
    """Return a colour of pyte as it is written in SVG."""
    if name == "default":
        return default
    if name.startswith("bright"):
        name = name.removeprefix("bright")
        return _GREY if name == "black" else _COLOURS.get(name, default)
    return _COLOURS.get(name) or f"#{name}"


def svg(shown: Sequence[Frame], title: str) -> str:
    """Return the animation: all screens side by side, moved past a window.

    Where the reader wants no motion, the end is shown.
    """
    width = COLUMNS * _CHAR_PX + 2 * _MARGIN_PX
    height = ROWS * _LINE_PX + 2 * _MARGIN_PX
    total_s = sum(frame.lasts_s for frame in shown)
    lines = dict.fromkeys(line for frame in shown for line in frame.lines if line)
    names = {line: f"l{number}" for number, line in enumerate(lines)}
    steps, screens, at_s = [], [], 0.0
    for number, frame in enumerate(shown):
        steps.append(f"{100 * at_s / total_s:.3f}%{{transform:translateX({-number * width:g}px)}}")
        at_s += frame.lasts_s
        rows = [
            f'<use href="#{names[line]}" y="{row * _LINE_PX}"/>'
            for row, line in enumerate(frame.lines)
            if line
        ]
        screens.append(f'<g transform="translate({number * width:g})">{"".join(rows)}</g>')
    last = f"transform:translateX({-(len(shown) - 1) * width:g}px)"
    style = (
        "text{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}\n"
        f"#film{{animation:film {total_s:.2f}s steps(1,end) infinite}}\n"
        f"@keyframes film{{{''.join(steps)}100%{{{last}}}}}\n"
        f"@media (prefers-reduced-motion:reduce){{#film{{animation:none;{last}}}}}"
    )
    definitions = "\n".join(f'<g id="{name}">{line}</g>' for line, name in names.items())
    window = f'x="{_MARGIN_PX}" y="{_MARGIN_PX}" width="{width - 2 * _MARGIN_PX:g}" height="{height:g}"'
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">
<title>{escape(title)}</title>
<style>{style}</style>
<defs>
{definitions}
</defs>
<rect width="100%" height="100%" rx="8" fill="{_BACKGROUND}"/>
<svg {window}><g transform="translate(0 {_LINE_PX - 5})"><g id="film">
{"".join(screens)}
</g></g></svg>
</svg>
"""


@contextmanager
def checkout() -> Iterator[Path]:
    """Yield a folder in which make works as in a fresh clone that has its environment."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for entry in ("Makefile", "make", "constraints", "pyproject.toml", ".venv"):
            (folder / entry).symlink_to(REPOSITORY / entry)
        yield folder


def session(folder: Path) -> Iterator[Output]:
    """Run the commands one after another in a folder, and yield what they print."""
    end_s = 0.0

    def recorded(commands: Sequence[str]) -> Iterator[Output]:
        nonlocal end_s
        for command in commands:
            for output in run(command, folder, {}):
                yield Output(end_s + output.at_s, output.text)
            end_s += output.at_s + 1.0

    yield from recorded(ALONE)
    (folder / "album" / "live").mkdir(parents=True)
    for name in ("first.wav", "second.wav", "live/third.wav"):
        shutil.copyfile(folder / "demo-output" / "mix.wav", folder / "album" / name)
    with running_stack(folder / ".stemline", folder / "up.log"):
        yield from recorded(BESIDE_A_STACK)


def main(target: Path) -> None:
    """Record the session and write the animation.

    Args:
        target: File of the animation.
    """
    with checkout() as folder:
        outputs = list(session(folder))
    title = f"A terminal: {', then '.join([*ALONE, *BESIDE_A_STACK[1:]])}"
    target.write_text(svg(frames(outputs), title), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
