"""Who counts as one client."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from stemline.api.http.clients import client_of

API = Path(__file__).resolve().parents[4] / "api"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
    ],
)
def test_clients(address: str, client: str) -> None:
    """A client is an IPv4 address or a /64 network; those of a Unix socket are one."""
    assert client == client_of(address)


def test_addresses_are_keys_nowhere_else() -> None:
    """Nothing in the API takes an address of a client but by ``client_of``, which knows networks."""
    found = []
    for path in API.rglob("*.py"):
        tree = ast.parse(path.read_text())
        wrapped = {
            id(argument)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "client_of"
            for argument in call.args
        }
        for node in ast.walk(tree):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Subscript) else ""
            if text.endswith((".client.host", ".client[0]")) and id(node) not in wrapped:
                found.append(f"{path.name}: {text}")
    assert [] == found
