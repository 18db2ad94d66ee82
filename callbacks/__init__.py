"""What is said when a job ends, and how it is delivered: Url and TDMQ, signing, retries, address guard."""

from __future__ import annotations

from stemline.callbacks.delivery import deliver

__all__ = ["deliver"]
