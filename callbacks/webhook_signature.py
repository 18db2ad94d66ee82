"""Standard Webhooks headers, which prove the sender, the time and the integrity of a body.

Source: the Standard Webhooks specification, symmetric signatures (``v1``, HMAC-SHA256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "whsec_"
TOLERANCE_S: Final = 300
"""How old a signature may be, or how far in the future, s."""


def signed_headers(delivery_id: str, at_s: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """Return the three signature headers, with one signature per secret; empty without secrets.

    Args:
        delivery_id: The same for all attempts, so that receivers can recognise duplicates.
        at_s: The time of this attempt, Unix seconds.
        body: The request body.
        secrets: ``whsec_`` and base64; two of them while one replaces the other.

    Raises:
        ValueError: A secret is not base64, or empty.
    """
    content = b".".join((delivery_id.encode(), str(at_s).encode(), body))
    signatures = [f"v1,{_sign(secret, content)}" for secret in secrets]
    if not signatures:
        return {}
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }


def verified(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], *, now_s: float | None = None
) -> bool:
    """Return whether one of the secrets signed this body at most ``TOLERANCE_S`` ago.

    Args:
        headers: Request headers, names in lower case.
        body: The body as received.
        secrets: The accepted secrets.
        now_s: Unix seconds; the current time if not given.
    """
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit():
        return False
    if abs((time.time() if now_s is None else now_s) - int(stamp)) > TOLERANCE_S:
        return False
    expected = signed_headers(headers.get("webhook-id", ""), int(stamp), body, secrets)
    ours = expected.get("webhook-signature", "").split()
    theirs = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(o.encode(), t.encode()) for o in ours for t in theirs)


def _sign(secret: str, content: bytes) -> str:
    text = secret.removeprefix(PREFIX)
    key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not key:
        raise ValueError("a webhook secret is empty")
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
