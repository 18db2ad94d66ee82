"""The receiver of ``stemline listen``."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from xml.dom.minidom import parseString

from stemline.cli.output import print_json, printable
from stemline.jobs.reasons import reason_of
from stemline.runtime.escapes import escape

if TYPE_CHECKING:
    from rich.console import Console

_MAX_BYTES = 1 << 20
_INDENTED_BYTES = 1 << 18
"""Longest body that is indented: nested elements without end take much more memory than their bytes."""
_SHOWN_CHARS = 1 << 20
"""Longest text that an indented body may become; one that is nested deeply is mostly indentation."""
_MAX_SEEN = 10_000
"""Callbacks that are remembered, to mark those that are sent again."""
_FORWARD_S = 10.0
_FORWARDED = frozenset({"content-type", "user-agent"})
"""Headers that are sent on, besides those of the signature."""
_COLOURS = {"Success": "green", "Failed": "red"}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a listener does with callbacks."""

    secrets: tuple[str, ...] = ()
    """Webhook secrets; a callback signed with none of them is answered with 401. Empty: no check."""
    status: int = 200
    """HTTP status of the other answers."""
    forward: str = ""
    """URL that gets each callback, and whose status is the answer."""
    as_json: bool = False
    """Whether each callback is printed as one line of JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a callback is answered."""

    status: int
    signature: str
    """What the check of its signature found."""
    fault: str = ""
    """Why it could not be sent on."""


class Listener(ThreadingHTTPServer):
    """An HTTP server that answers every callback, and then prints it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], console: Console, behaviour: Behaviour) -> None:
        """Listen.

        Args:
            address: Host and port to listen on.
            console: To print on.
            behaviour: What is done with callbacks.

        Raises:
            OSError: The address cannot be listened on.
        """
        # Before anything is listened for: the first callback must not wait for seconds, which this takes.
        from stemline.callbacks.webhook_signature import verified

        self._verified = verified
        super().__init__(address, _Handler)
        self._console = console
        self._behaviour = behaviour
        self.fault: OSError | None = None
        """Why no callback can be printed any more; then it listens no more."""
        self._seen: dict[str, None] = {}
        self._lock = threading.Lock()

    def answer(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return how to answer a callback."""
        signature = self._check_signature(headers, body)
        if signature == "bad":
            return Answer(401, signature)
        if self._behaviour.forward:
            status, fault = _forwarded(self._behaviour.forward, headers, body)
            return Answer(status, signature, fault)
        return Answer(self._behaviour.status, signature)

    def show(self, path: str, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """Print a callback that was answered; stop if that is not possible."""
        try:
            self._show(path, headers, body, answer)
        except OSError as error:
            self.fault = error
            self.shutdown()

    def _show(self, path: str, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        text, language = pretty(body)
        job, state = _find("JobId", text), _find("State", text)
        with self._lock:
            identity = headers.get("webhook-id") or job
            repeated = bool(identity) and identity in self._seen
            self._seen[identity] = None
            if len(self._seen) > _MAX_SEEN:
                self._seen.pop(next(iter(self._seen)))
            if self._behaviour.as_json:
                line = {
                    "path": path,
                    "job": job,
                    "state": state,
                    "signature": answer.signature,
                    "answered": answer.status,
                    **({"fault": answer.fault} if answer.fault else {}),
                    "seen_before": repeated,
                    "body": json.loads(text) if language == "json" else text,
                }
                print_json(line)
                sys.stdout.flush()
                return
            notes = [path, f"signature {answer.signature}", f"answered {answer.status}"]
            notes += [f"{self._behaviour.forward} does not answer: {answer.fault}"] if answer.fault else []
            self._print(printable(job or path), printable(state), [*map(printable, notes)], repeated)
            self._print_body(escape(text, kept="\t\n"), language)

    def _print(self, title: str, state: str, notes: list[str], repeated: bool) -> None:
        from rich.markup import escape

        colour = _COLOURS.get(state, "yellow")
        heading = f"[bold]{escape(title)}[/] [{colour}]{escape(state)}[/]"
        if self._console.is_terminal:
            self._console.rule(heading)
        else:
            self._console.print(heading, soft_wrap=True)
        shown = [escape(note) for note in notes] + ["[yellow]seen before[/]"] * repeated
        self._console.print(", ".join(shown), style="dim", soft_wrap=True)

    def _print_body(self, text: str, language: str) -> None:
        from rich.syntax import Syntax

        if self._console.is_terminal:
            self._console.print(Syntax(text, language, word_wrap=True, background_color="default"))
        else:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> str:
        secrets = self._behaviour.secrets
        if not secrets:
            return "not checked" if headers.get("webhook-signature") else "none"
        return "good" if self._verified(headers, body, secrets) else "bad"


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,7}", length) or int(length) > _MAX_BYTES:
            self.send_error(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(length))
        answer = self.server.answer(headers, body)
        self.send_response(answer.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        # The sender must not wait for a slow terminal.
        self.wfile.flush()
        self.server.show(self.path, headers, body, answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log nothing: the callback itself is printed."""


def _forwarded(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Forward a callback; return the status of the answer, or 502 and the reason if there is none."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    from stemline.runtime import loopback

    kept = {
        name: value for name, value in headers.items() if name in _FORWARDED or name.startswith("webhook-")
    }
    request = urllib.request.Request(url, data=body, headers=kept, method="POST")  # noqa: S310 - the user's URL
    opener = loopback.opener() if request.host.partition(":")[0] in loopback.HOSTS else urllib.request
    try:
        send = opener.open if isinstance(opener, urllib.request.OpenerDirector) else urllib.request.urlopen
        with send(request, timeout=_FORWARD_S) as answer:
            return int(answer.status), ""
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, HTTPException, ValueError) as error:  # the last: a header that cannot be sent on
        return 502, reason_of(error)


class _Text(io.StringIO):
    """A text of limited length."""

    def write(self, text: str) -> int:
        """Append to it.

        Raises:
            ValueError: It becomes too long.
        """
        if self.tell() + len(text) > _SHOWN_CHARS:
            raise ValueError("too long")
        return super().write(text)


def pretty(body: bytes) -> tuple[str, str]:
    """Return a body and its language; indented, unless it is too long."""
    text, shown = body.decode(errors="replace"), _Text()
    if len(body) > _INDENTED_BYTES:
        return text, "text"
    try:
        if text.lstrip().startswith("<"):
            # Attacks on XML parsers need a document type, which callbacks never have.
            if "<!" in text:
                return text, "xml"
            parseString(text).writexml(shown, addindent="  ", newl="\n")  # noqa: S318 # nosec B318
            return shown.getvalue(), "xml"
        json.dump(json.loads(text), shown, indent=2, ensure_ascii=False)
        return shown.getvalue(), "json"
    except Exception:  # noqa: BLE001 - a body that cannot be parsed is shown as it is
        return text, "text"


def _find(name: str, text: str) -> str:
    found = re.search(rf'"{name}": "([^"]*)"|<{name}>([^<]*)</{name}>', text)
    return next(filter(None, found.groups()), "") if found else ""
