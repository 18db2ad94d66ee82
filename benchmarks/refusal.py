"""A bucket that refuses every request: its jobs run through a worker and end at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from stemline.testing.receiver import answer, receiving


@contextmanager
def refusing_bucket() -> Iterator[dict[str, str]]:
    """Serve it while the block runs; give the variables of a separation worker that uses it."""
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    with receiving(answer(403, denied, {"Connection": "close"})) as store:
        access = {
            "access_key": "key",
            "secret_key": "secret",
            "endpoint_url": f"http://127.0.0.1:{store.port}",
        }
        yield {
            "STEMLINE_BUCKETS": json.dumps({"*": access}),
            "STEMLINE_PRELOAD_MODELS": "[]",
            "STEMLINE_MODELS_FETCH": "true",  # jobs fail before weights are needed
        }
