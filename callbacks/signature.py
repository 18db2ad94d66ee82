"""Standard Webhooks headers: who sends, when, and that nobody changed the body.

Source: the Standard Webhooks specification, symmetric signatures (``v1``, HMAC-SHA256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"


def signed_headers(delivery_id: str, at_s: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The three headers; one signature per secret, none of them without secrets.

    Args:
        delivery_id: The same over all tries, so that receivers can tell a repetition.
        at_s: The time of this try, Unix seconds.
        body: What is sent.
        secrets: ``whsec_`` and base64; two while one replaces the other.

    Raises:
        ValueError: a secret is not base64, or empty.
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


def _sign(secret: str, content: bytes) -> str:
    text = secret.removeprefix(PREFIX)
    key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not key:
        raise ValueError("a webhook secret is empty")
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
