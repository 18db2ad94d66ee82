"""A download of several requests: of which object they are, how often it may change, how slow it may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from stemline.storage.clients import BucketClient
from stemline.storage.download import (
    MAX_RESTARTS,
    MIN_BUDGET_S,
    MIN_BYTES_PER_S,
    Download,
    Downloaded,
    ObjectChanged,
)
from stemline.storage.retry import BudgetExhausted, RetryBudget

DATA = bytes(range(100))


class Body:
    """As botocore's."""

    def __init__(self, data: bytes) -> None:
        self._raw_stream = HTTPResponse(BytesIO(data), preload_content=False)

    def close(self) -> None:
        self._raw_stream.close()


class Store:
    """A store whose connections end after some bytes, and whose object is replaced before some requests."""

    def __init__(self, *, most: int = 100, replaced: Callable[[int], bool] = lambda _: False) -> None:
        self.most = most
        self.replaced = replaced
        self.version = 0
        self.asked: list[tuple[str | None, str | None]] = []
        """Range and If-Match of each request."""

    def get_object(self, **asked: Any) -> dict[str, Any]:
        wanted, match = asked.get("Range"), asked.get("IfMatch")
        self.version += self.replaced(len(self.asked))
        self.asked.append((wanted, match))
        if match not in {None, f'"{self.version}"'}:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 412}}, "GetObject")
        first = int(wanted[6:-1]) if wanted else 0
        place = {"ContentRange": f"bytes {first}-99/100"} if wanted else {}
        body = Body(DATA[first:][: self.most])
        return {"ETag": f'"{self.version}"', "ContentLength": 100 - first, "Body": body, **place}


def download(store: Store, budget_s: float = 0) -> Download:
    budget = RetryBudget(budget_s)
    return Download(BucketClient(store, "b"), "k", max_bytes=1000, budget=budget, progress=None)


def test_each_request_goes_on_with_the_same_object(tmp_path: Path) -> None:
    """Later requests ask for the rest of the one that the first one got, and for no other."""
    store = Store(most=40)
    assert Downloaded(100, '"0"') == download(store).run(tmp_path / "source")
    assert DATA == (tmp_path / "source").read_bytes()
    assert [(None, None), ("bytes=40-", '"0"'), ("bytes=80-", '"0"')] == store.asked


@pytest.mark.parametrize("times", [1, MAX_RESTARTS, MAX_RESTARTS + 1])
def test_a_source_may_be_replaced_three_times(tmp_path: Path, times: int) -> None:
    """Each time it is read from its beginning; once more, and the download ends with an error."""
    store = Store(most=60, replaced=lambda number: number % 2 == 1 and number < 2 * times)
    run = download(store)
    if times > MAX_RESTARTS:
        with pytest.raises(ObjectChanged):
            run.run(tmp_path / "source")
    else:
        assert Downloaded(100, f'"{times}"') == run.run(tmp_path / "source")
        assert DATA == (tmp_path / "source").read_bytes()
    assert times == store.version


@pytest.mark.parametrize(("budget_s", "allowed_s"), [(0, MIN_BUDGET_S), (300, 300)])
def test_a_store_that_sends_next_to_nothing_is_given_up(
    tmp_path: Path, budget_s: float, allowed_s: float
) -> None:
    """After the budget, or half a minute where that is longer, and a second for each 16 KiB that came."""
    in_time, late = download(Store(), budget_s), download(Store(), budget_s)
    now = time.monotonic()
    in_time._began, late._began = now - allowed_s + 20, now - allowed_s - 1 - 100 / MIN_BYTES_PER_S
    assert 100 == in_time.run(tmp_path / "source").size
    with pytest.raises(BudgetExhausted, match="too slowly"):
        late.run(tmp_path / "source")
