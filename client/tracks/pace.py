"""The pace of a run: nothing is asked of a service that cannot answer, or asks to wait."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from stemline.client.errors import ApiError, ConnectionFailed, ObjectMissing, StoreRefused, TransferFailed

T = TypeVar("T")
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 30.0
TRIES: Final = 5
"""How often one transfer is tried."""
_MAX_FAULTS: Final = 5
_SILENCE_S: Final = 900.0
"""How long one request may get no answer at all before the run ends."""
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Faults of the disk that every further track would meet too."""
_OF_A_FILE: Final = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EFBIG,
    }
)
"""Faults of a file that last however long one waits."""


class Stopped(Exception):
    """The run is to end."""


class Pace:
    """Repeats what may succeed later, and waits as long as the service asks; shared by several threads."""

    def __init__(
        self,
        stop: threading.Event,
        holding: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without a pause.

        Args:
            stop: Ends every pause.
            holding: Called with the reason why nothing happens, and with an empty text when it goes on.
            clock: Seconds.
        """
        self._stop = stop
        self._holding = holding
        self._clock = clock
        self._until = 0.0

    def retry(self, action: Callable[[], T], *, tries: int = 0) -> T:
        """Return what an action returns, after as many pauses as the service needs.

        Args:
            action: What is done.
            tries: How often a transfer is tried.

        Raises:
            Stopped: The run is to end.
            ConnectionFailed: The service has not answered this request for a long time.
            ApiError: Another answer than to come back later.
            TransferFailed: It failed on every try, or another try would fail in the same way.
        """
        pause_s, faults = _FIRST_S, 0
        silent_since: float | None = None
        while True:
            self._wait_until(self._until)
            try:
                result = action()
            except ConnectionFailed as error:
                # Counted from the first fault: before it, nothing may have been asked for a long time.
                silent_since = self._clock() if silent_since is None else silent_since
                if self._clock() - silent_since > _SILENCE_S:
                    raise
                self._hold(pause_s, "the service does not answer", error)
            except TransferFailed as error:
                silent_since = None
                faults += 1
                if faults >= tries or is_lasting(error):
                    raise
                self._hold(pause_s, str(error), error)
            except ApiError as error:
                silent_since = None
                faults += error.status != 503
                if error.status < 500 or faults >= _MAX_FAULTS:
                    raise
                self._hold(max(pause_s, error.retry_after_s or 0), error.message, error)
            else:
                if pause_s > _FIRST_S:
                    self._holding("")
                return result
            pause_s = min(_LONGEST_S, pause_s * 2)

    def check(self, _: object = None) -> None:
        """End what is being done if the run is to end; it is also the progress of transfers.

        Raises:
            Stopped: The run is to end.
        """
        if self._stop.is_set():
            raise Stopped

    def _hold(self, seconds: float, why: str, error: Exception) -> None:
        self._until = max(self._until, self._clock() + seconds)
        code = f" ({error.code})" if isinstance(error, ApiError) else ""
        self._holding(f"{why}{code}; trying again in {seconds:.0f} s")

    def _wait_until(self, moment: float) -> None:
        while not self._stop.is_set() and (left := moment - self._clock()) > 0:
            self._stop.wait(min(left, 1.0))
        if self._stop.is_set():
            raise Stopped


def is_lasting(error: TransferFailed) -> bool:
    """Whether a transfer failed because of a file, an object, keys or the disk, so that others fail too."""
    return isinstance(error, ObjectMissing | StoreRefused) or _errno(error) in NO_ROOM | _OF_A_FILE


def has_no_room(error: TransferFailed) -> bool:
    """Whether a transfer failed because the disk takes no more files at all."""
    return _errno(error) in NO_ROOM


def _errno(error: TransferFailed) -> int | None:
    cause = error.__cause__
    return cause.errno if isinstance(cause, OSError) else None
