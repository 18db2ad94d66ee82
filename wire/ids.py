"""Request ids and the forms of identifiers (docs/wire/wire.md, 0)."""

from __future__ import annotations

import base64
import random
import time

JOB = "^j[0-9a-f]{32}$"
BATCH = "^b[0-9a-f]{32}$"
QUEUE = "^p[0-9a-f]{32}$"
TEMPLATE = "^t1[0-9a-f]{32}$"


def new_request_id() -> str:
    """Return a new request id: base64 of four hexadecimal fields, the first of which is the time.

    It is unique, and no secret: asking the system for random bytes would take longer than all the rest.
    """
    token = f"{random.getrandbits(80):020x}"
    text = f"{int(time.time()):08x}_{token[:8]}_{token[8:12]}_{token[12:]}"
    return base64.b64encode(text.encode()).decode()
