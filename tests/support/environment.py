"""The variables and signals with which tests run: none that whoever started them has set or ignores."""

from __future__ import annotations

import os
import signal
from typing import Final

_OWN: Final = ("STEMLINE_", "AWS_")
_OF_TERMINALS: Final = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def leave_out_own_settings() -> None:
    """Remove settings of Stemline, boto3 and terminals, and let no proxy stand between tests and servers.

    A proxy itself stays: installing a package in a test may need it.
    """
    for name in [each for each in os.environ if each.startswith(_OWN) or each in _OF_TERMINALS]:
        del os.environ[name]
    if any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in os.environ):
        for name in ("no_proxy", "NO_PROXY"):
            os.environ[name] = ",".join((*filter(None, os.environ.get(name, "").split(",")), *_LOOPBACK))


def heed_signals() -> None:
    """Let the signals that end a program do so, for tests and for what they start.

    `&` and `nohup` leave them ignored, and a program that is started so passes that on.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
