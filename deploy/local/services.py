"""Stemline's own programs in the local stack: commands, readiness and environment."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
from urllib.parse import urlsplit

from celery import Celery
from celery.exceptions import OperationalError

from stemline.deploy.local.addresses import Addresses
from stemline.deploy.local.processes import Program
from stemline.runtime import loopback

#: How long a running job may continue after Ctrl-C before the worker releases it, s.
_GRACE_S = 5


def service_programs(addresses: Addresses) -> list[Program]:
    """Return the programs of the service, in the order in which they are started."""

    def stemline(*arguments: str) -> list[str]:
        # -P: a module in the current folder must not replace an installed one.
        return [sys.executable, "-P", "-m", "stemline", *arguments]

    api_port = addresses.api.rpartition(":")[2]
    flower_port = addresses.flower_url.rpartition(":")[2]
    return [
        Program(
            "api",
            stemline("api", "--host", "127.0.0.1", "--port", api_port),
            lambda: responds(f"{addresses.api}/healthz"),
            port=int(api_port),
        ),
        Program(
            "worker",
            stemline("worker", "separate", "--name", "separate@local"),
            lambda: consumes("separate@local", addresses.redis_url),
            stop_timeout_s=_GRACE_S + 10,
        ),
        Program(
            "callbacks",
            stemline("worker", "callbacks", "--name", "callbacks@local"),
            lambda: consumes("callbacks@local", addresses.redis_url),
        ),
        Program("beat", stemline("beat"), lambda: True),
        Program(
            "flower",
            stemline("flower", "--address", "127.0.0.1", "--port", flower_port),
            lambda: responds(f"{addresses.flower_url}/healthcheck"),
            port=int(flower_port),
        ),
    ]


def responds(url: str) -> bool:
    """Whether an HTTP server responds, with whatever status."""
    try:
        with loopback.opener().open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def consumes(node: str, broker_url: str) -> bool:
    """Whether a worker answers a ping."""
    app = Celery(broker=broker_url, set_as_current=False)
    # A connection of its own: one from Celery's pool may be to the server of a start that failed.
    connection = app.connection_for_write()
    try:
        return bool(app.control.ping(destination=[node], timeout=0.5, connection=connection))
    except (OperationalError, *connection.connection_errors):
        return False
    finally:
        connection.release()
        app.close()


def messages_url(redis_url: str) -> str:
    """Return the URL of the next database, for messages to clients.

    A client chooses the names of its queues: they must not be those of our keys or of Celery's queues.
    """
    parts = urlsplit(redis_url)
    database = parts.path.strip("/") or "0"
    return parts._replace(path=f"/{int(database) + 1}").geturl()


def service_environment(addresses: Addresses, home: str) -> dict[str, str]:
    """Return the variables that configure the programs of the service.

    Addresses and credentials are always those of the stack; any other variable may be set by the user.
    """
    fixed = {
        "STEMLINE_HOME": home,
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
                    "keeps_files": True,
                    "access_key": addresses.s3_access_key,
                    "secret_key": addresses.s3_secret_key,
                    "region": addresses.region,
                }
            }
        ),
        "STEMLINE_FLOWER_URL": addresses.flower_url,
        "FLOWER_BASIC_AUTH": f"{addresses.flower_user}:{addresses.flower_password}",
    }
    defaults = {
        "STEMLINE_CALLBACK_ALLOW_NETWORKS": json.dumps(["127.0.0.0/8", "::1/128"]),
        "STEMLINE_TDMQ_ENDPOINTS": json.dumps({"*": messages_url(addresses.redis_url)}),
        "STEMLINE_WEBHOOK_SECRETS": json.dumps([addresses.webhook_secret]),
        "STEMLINE_RATE_LIMIT_PER_S": "0",
        "STEMLINE_DURABILITY": "process" if os.environ.get("REDIS_URL") else "disk",
        "STEMLINE_WORKER_GRACE_S": str(_GRACE_S),
        "STEMLINE_LOG_FORMAT": "console",
        "PYTHONUNBUFFERED": "1",
        "STEMLINE_MODELS_FETCH": "true",
        "STEMLINE_RETRY_DELAY_S": "3",
        # boto3 must not use credentials of the cloud that this machine runs in.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    given = {key: os.environ.get(key, value) for key, value in defaults.items()}
    return {**given, **loopback.no_proxy(os.environ), **fixed}
