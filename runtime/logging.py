"""How every process logs: one line per step on standard error, a constant event name and keys.

Our own lines come from structlog, those of libraries (Celery, uvicorn, warnings) from ``logging``; both have
the same form. What a line is about is bound once: ``job``, ``attempt``, ``token``, ``worker``, ``trace`` in a
worker, ``request_id``, ``tenant``, ``operation`` in the API.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

from stemline.runtime.escapes import escape
from stemline.runtime.redaction import Redaction, secrets_of

if TYPE_CHECKING:  # half a second that commands without settings save
    from stemline.runtime.credentials import CredentialFiles
    from stemline.runtime.settings import Settings

#: Libraries whose lines below warning repeat ours; they are written only at ``debug``.
_VERBOSE = ("celery.worker.strategy", "celery.app.trace", "celery.beat", "kombu", "httpcore", "asyncio")
#: Libraries whose debug lines contain whole requests and signatures; they are never written.
_UNSAFE_AT_DEBUG = ("botocore", "boto3", "urllib3", "s3transfer", "amqp", "hpack")


def configure(
    settings: Settings, credentials: CredentialFiles | None = None, *, stream: TextIO | None = None
) -> None:
    """Log as the settings say; a second call replaces the first.

    Args:
        settings: Level, form, and secrets to mask.
        credentials: Further secrets to mask, as they change; by default those that the settings name.
        stream: Where lines go; standard error if not given.
    """
    if credentials is None:
        from stemline.runtime.credentials import CredentialFiles  # noqa: PLC0415 - see above

        credentials = CredentialFiles.of(settings)
    out = _lasting(stream or sys.stderr)
    level = logging.getLevelNamesMapping()[settings.logging.level.upper()]
    redaction = Redaction(secrets_of(settings), credentials.key_pairs.secrets, credentials.buckets.secrets)
    render = _render(redaction, console=settings.logging.format == "console", colors=out.isatty())
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_stamp(), *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                *_stamp(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in _UNSAFE_AT_DEBUG:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_exception
    threading.excepthook = _log_thread_exception


class _Lasting(io.TextIOBase):
    """A stream to which writing never fails: a full disk of logs, or a reader that has gone, ends no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if the stream takes it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush likewise."""
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether lines go to a terminal."""
        return self._stream.isatty()


def _lasting(stream: TextIO) -> TextIO:
    return cast("TextIO", _Lasting(stream))


def configure_console(level: int = logging.WARNING) -> None:
    """Log as an interactive command does: only what matters, as text, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *_stamp(),
            *_render(Redaction(), console=True, colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_lasting(sys.stderr)),
        cache_logger_on_first_use=False,
    )


def signal_safe_writer(settings: Settings) -> Callable[[str], None]:
    """Return what writes one line to standard error without taking a lock, as signal handlers must."""
    as_json = settings.logging.format == "json"

    def write(text: str) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        event = {"event": text.strip(), "level": "info", "timestamp": now}
        line = json.dumps(event) if as_json else f"{now} [info     ] {escape(event['event'])}"
        with suppress(OSError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{line}\n".encode())

    return write


#: What the console's renderer quotes a value for, and so escapes.
_QUOTED: Final = "\t\r\n"
#: What is kept in texts that it never quotes: only a traceback has lines.
_KEPT: Final[Mapping[str, str]] = {"event": "", "exception": "\t\n", "stack": "\t\n"}


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what a terminal would obey; what is no text, the renderer quotes anyway."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = escape(value, _KEPT.get(name, _QUOTED))
    return event


_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=repr)


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return a line of JSON that is safe to show on a terminal."""
    return escape(_JSON.encode(event))


def _stamp() -> Sequence[Processor]:
    return (structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))


def _render(redaction: Redaction, *, console: bool, colors: bool) -> Sequence[Processor]:
    # Tracebacks as plain text: without the values of local variables.
    text = structlog.processors.format_exc_info
    if console:
        plain = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
        return (text, redaction, _escape, plain)
    return (text, redaction, _as_json)


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger(__name__).critical("process.crashed", exc_info=(kind, error, trace))


def _log_thread_exception(args: Any) -> None:
    if args.exc_type is not SystemExit:
        structlog.get_logger(__name__).critical(
            "thread.crashed",
            thread=args.thread.name if args.thread else "",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
