"""The server of decoding processes, where the system gives it no process."""

from __future__ import annotations

import os
import socket

import pytest

from stemline.separation.decoder_server import DecoderServer


def test_a_failed_fork_fails_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be forked, the requester learns of it at once, and the server goes on."""

    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    wakeups, wakeup_writer = os.pipe()
    links, outputs = [], []
    for _ in range(2):
        link, servers_link = socket.socketpair()
        output, childs_output = os.pipe()
        with servers_link:
            socket.send_fds(ours, [b"{}"], [childs_output, servers_link.fileno()])
        os.close(childs_output)
        links.append(link)
        outputs.append(output)
    ours.close()

    DecoderServer(theirs, wakeups).serve()

    assert [b"", b""] == [link.recv(1) for link in links]
    assert [b"", b""] == [os.read(output, 1) for output in outputs]
    theirs.close()
    for link in links:
        link.close()
    for descriptor in (*outputs, wakeups, wakeup_writer):
        os.close(descriptor)
