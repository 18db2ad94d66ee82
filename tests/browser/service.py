"""The API with a store in memory, a real S3 server and a worker that splits sound, in one process."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stemline.deploy.local.servers import SeaweedServer
from stemline.jobs.store import Store
from stemline.runtime.settings import BucketAccess, Credential
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import CREDENTIAL, ApiServer, api_settings
from stemline.testing.client import BUCKET, SECRET_ID, SECRET_KEY
from tests.browser.worker import SplittingWorker

READER = Credential(secret_id="READER", secret_key="reader", read_only=True)


@dataclass(frozen=True)
class Service:
    """A running service."""

    server: ApiServer
    s3: Any

    @property
    def url(self) -> str:
        """The address of the console."""
        return f"http://127.0.0.1:{self.server.port}/console"

    def link(
        self, query: str = "", *, secret_id: str = SECRET_ID, secret_key: str = SECRET_KEY, **more: str
    ) -> str:
        """Return a log-in link to a view."""
        text = json.dumps({"secretId": secret_id, "secretKey": secret_key, **more})
        return f"{self.url}{query}#login={base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}"


@contextmanager
def service(
    s3_server: SeaweedServer, *, works: bool = True, store: Store | None = None, **changes: Any
) -> Iterator[Service]:
    """Run the service for as long as a block lasts."""
    if BUCKET not in {each["Name"] for each in s3_server.client().list_buckets()["Buckets"]}:
        s3_server.create_bucket(BUCKET)
    access = BucketAccess(
        endpoint_url=s3_server.endpoint_url, access_key=s3_server.access_key, secret_key=s3_server.secret_key
    )
    settings = api_settings(**{"buckets": {"*": access}, "credentials": (CREDENTIAL, READER), **changes})
    s3 = s3_server.client()
    store = store or InMemoryStore(store_options(settings))
    with ApiServer(settings, store) as server:
        if not works:
            yield Service(server, s3)
            return
        with SplittingWorker(store, s3, BUCKET):
            yield Service(server, s3)
