"""Callbacks: how the notification of a job's end is signed, sent, retried and recorded.

:class:`~stemline.callbacks.delivery.DeliveryService` is the entry point. It sends to URLs
(``url_sender``) and to TDMQ message queues (``mq_sender``, which picks ``cmq_sender`` or ``broker_sender``).
"""

from __future__ import annotations

from stemline.callbacks.delivery import DeliveryService

__all__ = ["DeliveryService"]
