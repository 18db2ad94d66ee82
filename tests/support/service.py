"""All processes of the service, on a server that they may reach through a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from stemline.deploy.local.ports import free_port
from stemline.testing.client import SECRET_ID, SECRET_KEY, Answer, Client, submission
from stemline.testing.processes import Program, eventually, program
from stemline.testing.receiver import Receiver, answer, receiving
from stemline.testing.resp_proxy import RespProxy

RECOVERY_S = 180.0


@dataclass(frozen=True, slots=True)
class Service:
    """All processes, and the proxy before their store and broker if there is one."""

    proxy: RespProxy | None
    client: Client
    receiver: Receiver
    flower_url: str
    """With the path of a page to be added."""
    ready_url: str
    programs: dict[str, Program]

    def submit(self) -> Answer:
        """Submit a job; it fails in the worker at once, as its bucket refuses, and has a callback."""
        body = submission(
            request=f"<CallBack>{self.receiver.url}</CallBack><CallBackFormat>JSON</CallBackFormat>"
        )
        return self.client.post("/jobs", body, {"Content-Type": "application/xml"})

    def status(self, url: str) -> int:
        try:
            return httpx.get(url, trust_env=False, timeout=10).status_code
        except httpx.TransportError:
            return 0

    def ready(self) -> bool:
        return self.status(self.ready_url) == 200

    def do_job(self) -> str | None:
        """Submit a job, wait for its callback, and return the state that the API shows then."""
        answered = self.submit()
        assert 200 == answered.status, answered.body
        job_id = (answered.text("JobsDetail/JobId") or "").encode()
        eventually(
            lambda: any(job_id in each.body for each in list(self.receiver.received)),
            RECOVERY_S,
            "the callback",
        )
        return self.client.get(f"/jobs/{job_id.decode()}").text("JobsDetail/State")


#: What a store says to keys that may not use the bucket; without a code it would not be taken for a store.
DENIED = b"<Error><Code>AccessDenied</Code></Error>"
ACCESS = {"access_key": "key", "secret_key": "secret"}
#: Buckets of a store that does not answer: a worker starts with them, and can do no job.
NO_STORE = json.dumps({"*": {**ACCESS, "endpoint_url": "http://127.0.0.1:1"}})


@contextmanager
def running_service(folder: Path, server: RespProxy | str, **variables: str) -> Iterator[Service]:
    """Run API, separation worker, callback worker, Celery beat and Flower while the block runs.

    Args:
        folder: For their logs.
        server: Of store and broker: its URL, or a proxy before it.
        variables: Further ones of their environment.
    """
    port, metrics, flower = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(answer(200)))
        refusing = stack.enter_context(receiving(answer(403, DENIED, {"Connection": "close"})))
        env = {
            "STEMLINE_REDIS_URL": server if isinstance(server, str) else server.url,
            "STEMLINE_KEY_PREFIX": "store-errors",
            "STEMLINE_CREDENTIALS": f'[{{"secret_id": "{SECRET_ID}", "secret_key": "{SECRET_KEY}"}}]',
            "STEMLINE_BUCKETS": json.dumps(
                {"*": {**ACCESS, "endpoint_url": f"http://127.0.0.1:{refusing.port}"}}
            ),
            "STEMLINE_PRELOAD_MODELS": "[]",
            "STEMLINE_MODELS_FETCH": "true",  # jobs fail before weights are needed
            "STEMLINE_SWEEP_INTERVAL_S": "1",
            "STEMLINE_RATE_LIMIT_PER_S": "0",
            "STEMLINE_CALLBACK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "FLOWER_BASIC_AUTH": "user:password",
            **variables,
        }
        words = {
            "api": ("api", "--port", str(port)),
            "separate": ("worker", "separate"),
            "callbacks": ("worker", "callbacks"),
            "beat": ("beat",),
            "flower": ("flower", "--port", str(flower)),
        }
        programs = {
            name: stack.enter_context(
                program(
                    folder / f"{name}.log",
                    {**env, "STEMLINE_METRICS_PORT": str(metrics if name == "api" else 0)},
                    *("-m", "stemline", *command),
                )
            )
            for name, command in words.items()
        }
        service = Service(
            proxy=None if isinstance(server, str) else server,
            client=Client(port),
            receiver=receiver,
            ready_url=f"http://127.0.0.1:{metrics}/readyz",
            flower_url=f"http://127.0.0.1:{flower}",
            programs=programs,
        )
        eventually(service.ready, 180, "the API")
        eventually(lambda: service.status(service.flower_url + "/healthcheck") == 200, 180, "Flower")
        yield service
