"""The process that forks a child for each source, so that no child has to start Python and its libraries.

A :class:`~stemline.separation.decoder.Decoder` starts it once, without the service's variables and open
files. It imports what decoding needs and stays single-threaded. A request is a message with two descriptors:
the pipe that the child writes to, and a socket, the *link*, by which the requester learns how the child
ended. Closing the link kills the child; closing the socket of requests kills all of them and ends the server.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from types import ModuleType

import av

from stemline.separation import decoder_child

#: Most bytes of a request.
REQUEST_BYTES = 65_536
#: How a child ended, as `os.waitstatus_to_exitcode` has it.
STATUS = struct.Struct("i")


class DecoderServer:
    """Starts, kills and reaps children; one thread, one loop."""

    def __init__(self, requests: socket.socket, wakeups: int) -> None:
        """Take over the socket that requests come from.

        Args:
            requests: A connected socket of whole messages.
            wakeups: A descriptor that is readable after a child has ended.
        """
        self._requests = requests
        self._wakeups = wakeups
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)
        self._poll.register(wakeups, select.POLLIN)
        self._links: dict[int, socket.socket] = {}
        self._children: dict[int, int] = {}
        """Descriptor of a link to process id; a child that is dead and not yet reaped is still here."""

    def serve(self) -> None:
        """Serve requests until their socket is closed."""
        while True:
            for ready, _ in self._poll.poll():
                if ready == self._wakeups:
                    os.read(self._wakeups, 4096)
                    self._reap()
                elif ready in self._links:
                    self._kill(ready)
                elif ready == self._requests.fileno() and not self._accept():
                    for pid in self._children.values():
                        os.kill(pid, signal.SIGKILL)
                    return

    def _accept(self) -> bool:
        """Start a child for the next request; return False at the end of requests."""
        request, descriptors, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, 2)
        if not request:
            return False
        output, link = descriptors
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # too many processes, or too little memory: this request fails, the others go on
            os.close(output)
            os.close(link)
            return True
        if not pid:
            decoder_child.run(json.loads(request), output, server=server)
        os.close(output)
        self._links[link] = socket.socket(fileno=link)
        self._children[link] = pid
        self._poll.register(link, select.POLLIN)
        return True

    def _kill(self, link: int) -> None:
        self._poll.unregister(link)
        os.kill(self._children[link], signal.SIGKILL)

    def _reap(self) -> None:
        for link, pid in list(self._children.items()):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if not reaped:
                continue
            del self._children[link]
            with suppress(KeyError):  # it was killed
                self._poll.unregister(link)
            with self._links.pop(link) as connection, suppress(OSError):
                connection.send(STATUS.pack(os.waitstatus_to_exitcode(status)))


def _import_all(package: ModuleType) -> None:
    """Import all modules of a package: those that it imports late could not be read by a confined child."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def main() -> None:
    """Serve the requests of the socket whose descriptor is the argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    wakeups, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    signal.set_wakeup_fd(wakeup_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _import_all(av)
    gc.collect()
    gc.freeze()  # what was imported stays shared with the children
    DecoderServer(socket.socket(fileno=int(sys.argv[1])), wakeups).serve()


if __name__ == "__main__":
    main()
