"""Identifiers that the store generates."""

from __future__ import annotations

import secrets
import uuid


def new_job_id() -> str:
    """Return ``j`` and a time-based UUID, unique without coordination between processes."""
    return "j" + uuid.uuid1(node=secrets.randbits(47) | 1 << 40).hex


def new_queue_id() -> str:
    """Return ``p`` and a random UUID."""
    return "p" + uuid.uuid4().hex


def new_template_id() -> str:
    """Return ``t1`` and a random UUID."""
    return "t1" + uuid.uuid4().hex
