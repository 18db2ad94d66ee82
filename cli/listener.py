"""The receiver of ``stemline listen``."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from xml.dom.minidom import parseString

if TYPE_CHECKING:
    from rich.console import Console

_MOST_BYTES = 1 << 20
_COLOURS = {"Success": "green", "Failed": "red"}


class Listener(ThreadingHTTPServer):
    """An HTTP server that prints every callback.

    Args:
        address: host and port to listen on.
        console: to print on.
        secrets: webhook secrets; a callback signed with none of them is answered with 401. Empty: no check.
        status: HTTP status of the other answers.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], console: Console, *, secrets: tuple[str, ...], status: int
    ) -> None:
        super().__init__(address, _Handler)
        self._console = console
        self._secrets = secrets
        self._status = status
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Print one callback and return the status to answer with."""
        from rich.markup import escape
        from rich.syntax import Syntax

        signature = self._check_signature(headers, body)
        text, language = pretty(body)
        job, state = _find("JobId", text), _find("State", text)
        with self._lock:
            identity = headers.get("webhook-id") or job
            repeated = bool(identity) and identity in self._seen
            self._seen.add(identity)
            status = 401 if signature == "bad" else self._status
            colour = _COLOURS.get(state, "yellow")
            self._console.rule(f"[bold]{escape(job or path)}[/] [{colour}]{escape(state)}[/]")
            notes = [escape(path), f"signature {signature}", f"answered {status}"]
            self._console.print(", ".join(notes + ["[yellow]seen before[/]"] * repeated), style="dim")
            self._console.print(Syntax(text, language, word_wrap=True, background_color="default"))
        return status

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> str:
        from stemline.callbacks.webhook_signature import verified

        if not self._secrets:
            return "not checked" if headers.get("webhook-signature") else "none"
        return "good" if verified(headers, body, self._secrets) else "bad"


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            self.send_error(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receive(self.path, headers, self.rfile.read(int(length)))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log nothing: the callback itself is printed."""


def pretty(body: bytes) -> tuple[str, str]:
    """Return a body, indented, and its language."""
    text = body.decode(errors="replace")
    try:
        if text.lstrip().startswith("<"):
            # Attacks on XML parsers need a document type, which callbacks never have.
            return (text if "<!" in text else parseString(text).toprettyxml("  ")), "xml"  # noqa: S318 # nosec B318
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False), "json"
    except Exception:  # noqa: BLE001 - a body that cannot be parsed is shown as it is
        return text, "text"


def _find(name: str, text: str) -> str:
    found = re.search(rf'"{name}": "([^"]*)"|<{name}>([^<]*)</{name}>', text)
    return next(filter(None, found.groups()), "") if found else ""
