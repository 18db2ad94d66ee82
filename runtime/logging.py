"""How every process logs: one line a step on standard error, a short constant message and keys.

Lines of our own come from structlog, those of libraries (Celery, uvicorn, warnings) from ``logging``; both
end in the same form. What a line is about is bound once: ``job``, ``attempt``, ``token``, ``worker``,
``trace`` in a worker, ``request_id``, ``tenant``, ``operation`` in the API.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import structlog
from structlog.typing import Processor

from stemline.runtime.redaction import Redaction, secrets_of

if TYPE_CHECKING:  # half a second that commands without settings save
    from stemline.runtime.settings import Settings

#: Libraries whose everyday lines say what ours say better; from ``debug`` on they are heard.
_CHATTY = ("celery.worker.strategy", "celery.app.trace", "celery.beat", "kombu", "httpcore", "asyncio")
#: What these say at ``debug`` holds whole requests and signatures.
_INDISCREET = ("botocore", "boto3", "urllib3", "s3transfer", "amqp", "hpack")

_json = True


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Log as the settings say; a second call replaces the first.

    Args:
        settings: level, form, and the secrets that must not be told.
        stream: where lines go; standard error where not given.
    """
    global _json  # noqa: PLW0603 - a process logs in one form
    _json = settings.logging.format == "json"
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.logging.level.upper()]
    redaction = Redaction(secrets_of(settings))
    finish = [*_last(redaction, console=settings.logging.format == "console", colors=out.isatty())]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_first(), *finish],
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
                *_first(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _on_crash
    threading.excepthook = _on_thread_crash


def for_people(level: int = logging.WARNING) -> None:
    """Log as a command does that a person runs: little, in words, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *_first(),
            *_last(Redaction(), console=True, colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def urgent(text: str) -> None:
    """One line from where no lock may be taken, such as a signal handler.

    Args:
        text: what happened.
    """
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": text.strip(), "level": "info", "timestamp": now}
    said = json.dumps(line) if _json else f"{now} [info     ] {line['event']}"
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{said}\n".encode())


def _first() -> Sequence[Processor]:
    return (structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))


def _last(redaction: Redaction, *, console: bool, colors: bool) -> Sequence[Processor]:
    # Tracebacks as plain text: without the values of local variables.
    text = structlog.processors.format_exc_info
    if console:
        plain = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
        return (text, redaction, plain)
    return (text, redaction, structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False))


def _on_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger(__name__).critical("process.crashed", exc_info=(kind, error, trace))


def _on_thread_crash(args: Any) -> None:
    if args.exc_type is not SystemExit:
        structlog.get_logger(__name__).critical(
            "thread.crashed",
            thread=args.thread.name if args.thread else "",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
