"""Which queues Flower's page shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flower.views import BaseHandler

from stemline.runtime.compat import flower
from stemline.runtime.settings import Settings
from stemline.workers.app import create_app

ALL = {"separate.0", "separate.1", "separate.2", "callbacks", "sweep"}


@pytest.mark.parametrize("read", [[], ["callbacks"], ["separate.2", "separate.own.2"]])
def test_every_queue_is_shown_whichever_workers_have_answered(
    read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queues of workers that were silent at Flower's start are there, and those of single models too."""
    monkeypatch.setattr(BaseHandler, "get_active_queue_names", BaseHandler.get_active_queue_names)
    flower._show_all_queues()
    worker = {"active_queues": [{"name": name} for name in read]} if read else {}
    page: Any = SimpleNamespace(
        capp=create_app(Settings()), application=SimpleNamespace(workers={"worker@here": worker})
    )
    shown = BaseHandler.get_active_queue_names(page)
    assert shown == sorted(ALL | set(read))
