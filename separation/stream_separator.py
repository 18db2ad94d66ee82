"""What all separators have in common, whatever the kind of their engine."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final, Self, TypeVar

from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import Cancelled, OptionError
from stemline.separation.interruption import Interruption
from stemline.separation.moments import Moments
from stemline.separation.windows import Block

Part = TypeVar("Part")
Result = TypeVar("Result")

#: How often it is asked, while a part is waited for, whether the separation was cancelled, s.
_POLL_S: Final = 0.2


@dataclass(slots=True)
class StageTimer:
    """Adds up the seconds of work of each stage over all threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stage: str, since: float) -> float:
        """Add the time since `since` (of `time.perf_counter`) to `stage`; return the time now."""
        now = time.perf_counter()
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


class StreamSeparator(ABC):
    """Runs an engine on streams, one after another or several at once.

    Attributes:
        engine: The loaded model.
    """

    engine: LoadedEngine

    @property
    def moment_rates(self) -> frozenset[int]:
        """Return the sample rates at which the stream's moments have to be known before it is separated."""
        return frozenset()

    def adds_up(self, stems: Iterable[str]) -> bool:
        """Return whether these stems add up to the mix by construction."""
        return self.engine.network.is_complete(stems)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return stems that do not add up by construction and are meant to be the mix; see `Network`."""
        return self.engine.network.parts

    @abstractmethod
    def separate(
        self,
        blocks: Iterable[Block],
        *,
        instruments: Sequence[str] | None = None,
        timer: StageTimer | None = None,
        moments: Mapping[int, Moments] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Generator[Mapping[str, Block]]:
        """Separate a stream, piece by piece.

        Args:
            blocks: (samples, 2) float32 at 44,100 Hz, of any sizes.
            instruments: The stems to make; by default all that the engine has.
            timer: Adds up the time of each stage.
            moments: Of the whole stream at each of `moment_rates`; without them, those of the samples so far
                are used.
            cancelled: Asked every 0.2 s while a network works; returning True ends that.

        Yields:
            The next samples of every stem, (samples, 2); in all as many as the stream has.

        Raises:
            Cancelled: `cancelled` returned True.
            EmptyAudio: The stream holds no samples.
            NonFiniteAudio: A sample is infinite or not a number.
            BrokenNetwork: The engine gives values that are not finite numbers.
            OptionError: The engine has no such stem.
        """

    @abstractmethod
    def close(self) -> None:
        """End the threads; what they run is waited for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wanted(self, instruments: Sequence[str] | None) -> tuple[str, ...]:
        """Return the stems to make.

        Raises:
            OptionError: The engine has no such stem.
        """
        network = self.engine.network
        wanted = tuple(network.instruments if instruments is None else instruments)
        if unknown := [name for name in wanted if name not in network.instruments]:
            raise OptionError(f"The model {network.name} has no stem {', '.join(unknown)}.")
        return wanted


class OrderedThreads:
    """Threads that work on the parts of streams, and give the results in the order of the parts."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="separate")

    def results(
        self,
        run: Callable[[Part], Result],
        parts: Iterable[Part],
        *,
        cancelled: Callable[[], bool] | None = None,
        interruption: Interruption | None = None,
    ) -> Generator[tuple[Part, Result]]:
        """Yield every part with its result; at most one part more than there are threads is waiting.

        Args:
            run: Works on a part.
            parts: Taken one after another.
            cancelled: Asked while a result is waited for.
            interruption: Set when no more results are wanted.

        Raises:
            Cancelled: `cancelled` returned True.
        """
        waiting: deque[tuple[Part, Future[Result]]] = deque()

        def oldest() -> tuple[Part, Result]:
            part, future = waiting[0]
            while not wait([future], _POLL_S).done:
                if cancelled is not None and cancelled():
                    raise Cancelled
            waiting.popleft()
            return part, future.result()

        try:
            for part in parts:
                waiting.append((part, self._pool.submit(run, part)))
                if len(waiting) > self._count:
                    yield oldest()
            while waiting:
                yield oldest()
        finally:
            for _, future in waiting:
                future.cancel()
            if interruption is not None:
                interruption.set()

    def close(self) -> None:
        """End the threads; running parts are waited for."""
        self._pool.shutdown(cancel_futures=True)
