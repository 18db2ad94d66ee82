"""Deliver to a message queue: choose the endpoint and the protocol."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from stemline.callbacks.broker_sender import BrokerSender
from stemline.callbacks.cmq_sender import CmqSender
from stemline.callbacks.http import BadUrl
from stemline.callbacks.outcome import Outcome, failed
from stemline.callbacks.url_sender import failure_status
from stemline.jobs.callback import MqConfig, is_reserved_mq_name
from stemline.jobs.reasons import reason_of
from stemline.runtime.settings import Settings

PUBLIC_ENDPOINT: Final = "https://cmq-{region}.public.tencenttdmq.com"
PUBLIC_REGIONS: Final = frozenset({"sh", "bj", "gz", "cd", "hk"})


class MqSender:
    """Sends callbacks to message queues."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cmq = CmqSender(
            settings.tdmq.secret_id,
            settings.tdmq.secret_key.get_secret_value(),
            settings.tdmq.signature,
            settings.callbacks.timeout_s,
        )
        self._broker = BrokerSender(settings.callbacks.timeout_s)

    def endpoint(self, region: str) -> str | None:
        """Return the endpoint of an MqRegion: its own, that of ``*``, or with a CMQ key the public one."""
        endpoints = self._settings.tdmq.endpoints
        found = endpoints.get(region) or endpoints.get("*")
        if found is None and self._settings.tdmq.secret_id and region in PUBLIC_REGIONS:
            return PUBLIC_ENDPOINT.format(region=region)
        return found

    def host(self, mq: MqConfig) -> str:
        """Return the broker of a queue or topic, by which concurrent deliveries are limited."""
        try:
            parts = urlsplit(self.endpoint(mq.region) or mq.region)
        except ValueError:
            return mq.region
        return parts.netloc.rpartition("@")[2] or mq.region

    def send(self, mq: MqConfig, body: bytes, content_type: str, delivery_id: str, now_s: float) -> Outcome:
        """Send one message; the arguments are those of the senders."""
        endpoint = self.endpoint(mq.region)
        if endpoint is None:
            return failed("no-endpoint", f"no endpoint is set for the MqRegion {mq.region}")
        if (refusal := self._refusal(mq, len(body))) is not None:
            return refusal
        if not endpoint.startswith(("http://", "https://")):
            return self._broker.send(endpoint, mq, body, content_type, delivery_id)
        try:
            return self._cmq.send(endpoint, mq, body, now_s)
        except BadUrl as error:
            return failed("no-endpoint", error)
        except Exception as error:
            status = failure_status(error)
            if status is None:
                raise
            return failed(status, reason_of(error))

    def _refusal(self, mq: MqConfig, size: int) -> Outcome | None:
        """Return why a message is never sent, or ``None``."""
        if is_reserved_mq_name(mq.name, self._settings.store.key_prefix):
            return failed("refused", f"the MqName {mq.name} is reserved", final=True)
        if size > self._settings.tdmq.max_bytes:
            reason = f"{size} bytes; a message may have {self._settings.tdmq.max_bytes}"
            return failed("too-large", reason, final=True)
        return None
