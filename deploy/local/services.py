"""The processes of the stack that are Stemline's own, and Flower."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from celery import Celery

if TYPE_CHECKING:
    from stemline.deploy.local.stack import Addresses

#: How long a running job may go on after Ctrl-C before it is given back, s.
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A process and how one sees that it is ready."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    stop_wait_s: int = 8
    start_timeout_s: float = 90.0


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback URL
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def of(addresses: Addresses) -> list[Part]:
    """The parts of a stack, in the order in which they are started."""
    broker = Celery(broker=addresses.redis_url, set_as_current=False)

    def consumes(node: str) -> Callable[[], bool]:
        return lambda: bool(broker.control.ping(destination=[node], timeout=0.5))

    def stemline(*words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "stemline", *words]

    api_port = addresses.api.rpartition(":")[2]
    flower_port = addresses.flower_url.rpartition(":")[2]
    return [
        Part(
            "api",
            stemline("api", "--host", "127.0.0.1", "--port", api_port),
            lambda: answers(f"{addresses.api}/readyz"),
        ),
        Part(
            "worker",
            stemline("worker", "separate", "--name", "separate@local"),
            consumes("separate@local"),
            stop_wait_s=_GRACE_S + 10,
            start_timeout_s=300.0,
        ),
        Part(
            "callbacks",
            stemline("worker", "callbacks", "--name", "callbacks@local"),
            consumes("callbacks@local"),
        ),
        Part("beat", stemline("beat"), lambda: True),
        Part(
            "flower",
            stemline("flower", "--address", "127.0.0.1", "--port", flower_port),
            lambda: answers(f"{addresses.flower_url}/healthcheck"),
        ),
    ]


def messages_url(redis_url: str) -> str:
    """The next database of the same server: a client's MqName must not name our keys or Celery's queues."""
    parts = urlsplit(redis_url)
    database = parts.path.strip("/") or "0"
    return parts._replace(path=f"/{int(database) + 1}").geturl()


def environment(addresses: Addresses, home: Path) -> dict[str, str]:
    """The variables through which the parts learn their settings.

    What makes the stack a stack is ours; of the rest, what the user has set wins.
    """
    fixed = {
        "STEMLINE_HOME": str(home),
        "STEMLINE_REDIS_URL": addresses.redis_url,
        "STEMLINE_REGION": addresses.region,
        "STEMLINE_HOSTS": json.dumps({"*": {"bucket": addresses.bucket, "region": addresses.region}}),
        "STEMLINE_CREDENTIALS": json.dumps(
            [{"secret_id": addresses.secret_id, "secret_key": addresses.secret_key}]
        ),
        "STEMLINE_BUCKETS": json.dumps(
            {
                "*": {
                    "endpoint_url": addresses.s3_endpoint_url,
                    "access_key": addresses.s3_access_key,
                    "secret_key": addresses.s3_secret_key,
                    "region": addresses.region,
                }
            }
        ),
        "STEMLINE_FLOWER_URL": addresses.flower_url,
        "FLOWER_BASIC_AUTH": f"{addresses.flower_user}:{addresses.flower_password}",
    }
    proposed = {
        "STEMLINE_CALLBACK_ALLOW_NETWORKS": json.dumps(["127.0.0.0/8", "::1/128"]),
        "STEMLINE_TDMQ_ENDPOINTS": json.dumps({"*": messages_url(addresses.redis_url)}),
        "STEMLINE_RATE_LIMIT_PER_S": "0",
        "STEMLINE_WORKER_GRACE_S": str(_GRACE_S),
        "STEMLINE_LOG_FORMAT": "console",
        "PYTHONUNBUFFERED": "1",
        # Credentials of the user's own cloud are not for a local S3.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {**{key: os.environ.get(key, value) for key, value in proposed.items()}, **fixed}
