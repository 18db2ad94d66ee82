"""Requests to this machine itself, and the ports that they go to."""

from __future__ import annotations

import pytest

from stemline.deploy.local.ports import GRPC_OFFSET, choose
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
