"""What lies between the browser and the service, and can be cut."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from stemline.testing.peer_proxy import forward


class Relay:
    """Forwards connections to a port on loopback; `to` may be changed, 0 for none."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def cut(self) -> None:
        """End every connection in the middle of whatever it carries."""
        self._loop.call_soon_threadsafe(self._abort)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # until aborted transports have closed their sockets

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            to, back = await asyncio.open_connection("127.0.0.1", self.to)
            self._writers.add(back)
            await asyncio.gather(forward(reader, back), forward(to, writer))
            self._writers.discard(back)
        self._writers.discard(writer)
        writer.transport.abort()
