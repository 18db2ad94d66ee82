"""Identifiers that the store generates."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from stemline.jobs.tenant import Tenant


def new_job_id() -> str:
    """Return ``j`` and a time-based UUID, unique without coordination between processes."""
    return "j" + uuid.uuid1(node=secrets.randbits(47) | 1 << 40).hex


def queue_id_of(tenant: Tenant) -> str:
    """Return ``p`` and a digest: the id of a tenant's first queue is known before the queue is stored."""
    return "p" + hashlib.sha256(str(tenant).encode()).hexdigest()[:32]


def new_template_id() -> str:
    """Return ``t1`` and a random UUID."""
    return "t1" + uuid.uuid4().hex
