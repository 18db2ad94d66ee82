"""Errors of the client."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.client import errors

_JOB: Any = SimpleNamespace(id="j1", state="Failed", code="InvalidContent", message="no sound")
_ERRORS = (
    errors.NotConfigured("none"),
    errors.ConnectionFailed("gone"),
    errors.ApiError("InvalidArgument", "wrong", status=400, request_id="r", retry_after_s=2.5),
    errors.SlowDown("SlowDown", "later", status=503),
    errors.NotFound("NotFound", "none", status=404),
    errors.StoreRefused("keys"),
    errors.StoreUnreachable("store"),
    errors.ObjectMissing("gone"),
    errors.JobEnded(_JOB),
    errors.WaitTimedOut(_JOB, 2.0),
)


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_reaches_another_process_as_it_is(error: errors.ClientError, again: Any) -> None:
    """Pools of processes pickle what their workers raise; class, text and attributes stay."""
    found = again(error)
    assert (type(error), str(error), vars(error)) == (type(found), str(found), vars(found))
