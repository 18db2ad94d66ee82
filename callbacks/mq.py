"""One try to deliver to a message queue: which endpoint, and by which protocol."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from stemline.callbacks.broker import BrokerSender
from stemline.callbacks.cmq import CmqSender
from stemline.callbacks.http import BadUrl
from stemline.callbacks.outcome import Outcome, failed
from stemline.callbacks.url import failure_word
from stemline.jobs.callback import MqConfig
from stemline.runtime.settings import Settings

PUBLIC: Final = "https://cmq-{region}.public.tencenttdmq.com"
PUBLIC_REGIONS: Final = frozenset({"sh", "bj", "gz", "cd", "hk"})


class MqSender:
    """How this process reaches message queues."""

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
        """The endpoint of an MqRegion: its own, that of ``*``, or with a CMQ key the public one."""
        endpoints = self._settings.tdmq.endpoints
        found = endpoints.get(region) or endpoints.get("*")
        if found is None and self._settings.tdmq.secret_id and region in PUBLIC_REGIONS:
            return PUBLIC.format(region=region)
        return found

    def lane(self, mq: MqConfig) -> str:
        """Which messages share the limit of one host: those of one broker."""
        try:
            parts = urlsplit(self.endpoint(mq.region) or mq.region)
        except ValueError:
            return mq.region
        return parts.netloc.rpartition("@")[2] or mq.region

    def send(self, mq: MqConfig, body: bytes, content_type: str, delivery_id: str, now_s: float) -> Outcome:
        """Send one message; see the senders for the arguments."""
        endpoint = self.endpoint(mq.region)
        if endpoint is None:
            return failed("no-endpoint", f"no endpoint is set for the MqRegion {mq.region}")
        if len(body) > self._settings.tdmq.max_bytes:
            limit = f"{len(body)} bytes are more than the {self._settings.tdmq.max_bytes} of a message"
            return failed("too-large", limit, final=True)
        if not endpoint.startswith(("http://", "https://")):
            return self._broker.send(endpoint, mq, body, content_type, delivery_id)
        try:
            return self._cmq.send(endpoint, mq, body, now_s)
        except BadUrl as error:
            return failed("no-endpoint", error)
        except Exception as error:
            status = failure_word(error)
            if status is None:
                raise
            return failed(status, error if str(error) else type(error).__name__)
