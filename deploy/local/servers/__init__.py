"""Valkey and SeaweedFS from their Python packages: one class each, for the stack and for tests."""

from __future__ import annotations

from stemline.deploy.local.servers.seaweed import REGION, SeaweedServer, weed_program
from stemline.deploy.local.servers.server import Server, ServerFailed, ServerMissing
from stemline.deploy.local.servers.valkey import ValkeyServer, valkey_program

__all__ = [
    "REGION",
    "SeaweedServer",
    "Server",
    "ServerFailed",
    "ServerMissing",
    "ValkeyServer",
    "valkey_program",
    "weed_program",
]
