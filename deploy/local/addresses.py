"""Addresses and credentials of a running stack."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemline.client.target import S3Access, Target


@dataclass(frozen=True, slots=True)
class Addresses:
    """What a client needs to use a running stack."""

    api: str
    region: str
    bucket: str
    secret_id: str
    secret_key: str
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str
    redis_url: str
    flower_url: str
    flower_user: str
    flower_password: str
    webhook_secret: str = ""
    """Signs callbacks."""
    ca_file: str = ""
    """The authority to trust, if the API speaks https with a certificate of the stack's own."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Addresses:
        """Return the addresses of a ``stack.json``.

        Raises:
            KeyError: It is of another release.
        """
        s3, flower = document["s3"], document["flower"]
        return cls(
            api=document["api"],
            region=document["region"],
            bucket=document["bucket"],
            secret_id=document["secret_id"],
            secret_key=document["secret_key"],
            s3_endpoint_url=s3["endpoint_url"],
            s3_access_key=s3["access_key"],
            s3_secret_key=s3["secret_key"],
            redis_url=document["redis_url"],
            flower_url=flower["url"],
            flower_user=flower["user"],
            flower_password=flower["password"],
            webhook_secret=document.get("webhook_secret", ""),
            ca_file=document.get("ca_file", ""),
        )

    @property
    def console_link(self) -> str:
        """A link that logs in to the console; its fragment, which holds the keys, is sent to no server."""
        keys = {
            "secretId": self.secret_id,
            "secretKey": self.secret_key,
            "bucket": self.bucket,
            "region": self.region,
        }
        login = base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")
        return f"{self.api}/console/#login={login}"

    @property
    def target(self) -> Target:
        """The same, for the Python client."""
        return Target(
            api=self.api,
            secret_id=self.secret_id,
            secret_key=self.secret_key,
            bucket=self.bucket,
            region=self.region,
            ca_file=self.ca_file,
            s3=S3Access(self.s3_endpoint_url, self.s3_access_key, self.s3_secret_key),
            origin="the local stack",
        )

    def document(self, pids: Mapping[str, int]) -> dict[str, Any]:
        """Return the content of ``stack.json``.

        Args:
            pids: Process ids by name.
        """
        return {
            "api": self.api,
            **({"ca_file": self.ca_file} if self.ca_file else {}),
            "region": self.region,
            "bucket": self.bucket,
            "secret_id": self.secret_id,
            "secret_key": self.secret_key,
            "s3": {
                "endpoint_url": self.s3_endpoint_url,
                "access_key": self.s3_access_key,
                "secret_key": self.s3_secret_key,
            },
            "webhook_secret": self.webhook_secret,
            "redis_url": self.redis_url,
            "flower": {
                "url": self.flower_url,
                "user": self.flower_user,
                "password": self.flower_password,
            },
            "pids": dict(pids),
        }
