"""Requests to this machine itself, and the ports that they go to."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from stemline.deploy.local.ports import GRPC_OFFSET, Reservation, choose, free_port, listens
from stemline.runtime import loopback


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"HTTP_PROXY": "http://proxy"}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "intern, 127.0.0.1"}, "intern,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_this_machine_is_exempt_from_proxies(given, expected):
    """Loopback is added to the hosts that the user exempts, in both spellings."""
    assert {"no_proxy": expected, "NO_PROXY": expected} == loopback.no_proxy(given)


@pytest.mark.parametrize("port", [55_536, 60_000, 65_535])
def test_a_paired_port_leaves_room_for_its_pair(port):
    """A remembered port whose pair would be above 65,535 is replaced by one that has room."""
    chosen = choose({"s3": port, "api": port}, paired=["s3"])
    assert chosen["s3"] + GRPC_OFFSET <= 65_535
    assert chosen["s3"] != chosen["api"]


@pytest.mark.skipif(sys.platform != "linux", reason="ports are reserved on Linux")
def test_a_reserved_port_is_left_to_the_program_it_is_for():
    """Another reservation and a program without SO_REUSEADDR do not get it; a server with it listens there.

    Closed, or refused in part, a reservation keeps nothing.
    """
    first, second = Reservation(), Reservation()
    port = free_port(reservation=first)
    beside = free_port(taken=[port])
    assert not second.add([beside, port])
    assert first.add([beside]), "what was refused in part was given back"
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):  # sets SO_REUSEADDR
        assert listens(os.getpid(), port)
        assert not listens(os.getppid(), port)
    assert not listens(os.getpid(), port)
    first.close()
    assert second.add([port, beside])
    second.close()


def test_two_stacks_that_start_at_once_choose_different_ports():
    """What one has chosen and not bound yet, its pairs included, the other does not choose."""
    wanted = choose({"api": 0, "s3": 0}, paired=["s3"])
    first, second = Reservation(), Reservation()
    chosen = [choose(wanted, paired=["s3"], reservation=each) for each in (first, second)]
    assert wanted == chosen[0]
    if sys.platform == "linux":
        assert not set(chosen[0].values()) & set(chosen[1].values())
    first.close()
    second.close()
