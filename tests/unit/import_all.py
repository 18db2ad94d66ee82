"""Imports every module of Stemline and prints, as JSON, what that did besides; run by ``test_imports.py``."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import threading
import types
from collections.abc import Iterator

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = (
    "ftplib.", "http.client.", "os.chmod", "os.chown", "os.exec", "os.fork", "os.kill", "os.link", "os.mkdir",
    "os.posix_spawn", "os.remove", "os.rename", "os.rmdir", "os.spawn", "os.symlink", "os.system",
    "os.truncate", "os.utime", "shutil.", "socket.", "sqlite3.", "subprocess.", "tempfile.",
)  # fmt: skip
#: urllib3 finds out with a socket of its own, which is never connected, whether the machine speaks IPv6.
EXCUSED = ("urllib3/util/connection.py",)

events: list[str] = []


def audit(event: str, args: tuple) -> None:
    if event == "open":
        path, _, flags = args
        if path == os.devnull or not flags & WRITING:
            return
    elif not event.startswith(EVENTS) or event == "socket.gethostname":
        return
    frame, where = sys._getframe(1), []
    while frame is not None:
        name = frame.f_code.co_filename
        if "importlib" not in name:
            where.append(name)
        frame = frame.f_back
    if not any(name.endswith(EXCUSED) for name in where):
        events.append(f"{event} {args!r} by {where[:4]}")


def module_names() -> list[str]:
    """The names of all modules, from the files alone."""
    package = importlib.import_module("stemline")
    return sorted(module.name for module in pkgutil.walk_packages(package.__path__, "stemline."))


def patched() -> Iterator[str]:
    """Names of third parties whose value is ours."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"stemline", "__main__"} or not isinstance(module, types.ModuleType):
            continue
        for attribute, value in list(vars(module).items()):
            if is_ours(value):
                yield f"{name}.{attribute}"
            if inspect.isclass(value) and value.__module__ == name:
                yield from (f"{name}.{attribute}.{key}" for key, each in vars(value).items() if is_ours(each))


def is_ours(value: object) -> bool:
    return callable(value) and str(getattr(value, "__module__", "")).startswith("stemline.")


def receivers() -> list[str]:
    """Our functions that Celery's signals call."""
    from celery import signals

    return [
        f"{name}: {receiver!r}"
        for name, each in vars(signals).items()
        if isinstance(each, signals.Signal)
        for _, receiver in each.receivers
        if "stemline" in repr(receiver)
    ]


def main() -> None:
    handlers = {each: signal.getsignal(each) for each in signal.valid_signals()}
    environment = dict(os.environ)
    sys.addaudithook(audit)
    from stemline.runtime import settings

    read: list[str] = []
    settings.Settings.__init__ = lambda *_, **__: read.append("Settings()")  # type: ignore[method-assign]
    names = module_names()
    for name in names:
        importlib.import_module(name)
    happened = list(events)  # what is looked up below is no import of ours

    import gc

    from celery import Celery
    from prometheus_client import REGISTRY

    sys.stdout.write(
        json.dumps(
            {
                "modules": names,
                "events": happened,
                "settings": read,
                "patched": list(patched()),
                "receivers": receivers(),
                "celery_apps": [
                    repr(each)
                    for each in gc.get_objects()
                    if type(each) is Celery and each.main == "stemline"
                ],
                "metrics": [each.name for each in REGISTRY.collect() if each.name.startswith("stemline")],
                "threads": [each.name for each in threading.enumerate()[1:]],
                "signals": [each for each, handler in handlers.items() if signal.getsignal(each) != handler],
                "environment": sorted(set(os.environ.items()) ^ set(environment.items())),
            }
        )
    )


if __name__ == "__main__":
    main()
