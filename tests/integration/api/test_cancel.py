"""Cancel jobs: in each spelling, all or none, and while they run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemline.testing.api_server import ApiServer, finish
from stemline.testing.client import Client
from tests.support.jobs import submit


@pytest.mark.shows("PUT /jobs/{ids}", "Go, Java, PHP, iOS, Android, Terraform")
@pytest.mark.parametrize("suffix", ["", "?cancel", "?cancel=", "/?cancel"])
def test_cancel(client: Client, suffix: str) -> None:
    """Cancel in each spelling answers 200 with nothing in it; a second one changes nothing."""
    job = submit(client)
    for _ in range(2):
        answer = client.put(f"/jobs/{job}{suffix}")
        assert (200, b"", "0") == (answer.status, answer.body, answer.headers["content-length"])
        assert "content-type" not in answer.headers
        detail = client.get(f"/jobs/{job}")
        assert ("Cancel", "Success", "-") == tuple(
            detail.text(f"JobsDetail/{name}") for name in ("State", "Code", "StartTime")
        )


def test_cancel_is_all_or_nothing(server: ApiServer) -> None:
    """One job that cannot be cancelled keeps the others from it."""
    client = server.client
    done, waiting = submit(client), submit(client)
    finish(server.store, done)
    for bad in (done, "j" + "0" * 32):
        answer = client.put(f"/jobs/{waiting},{bad}?cancel")
        assert (400, "InvalidArgument") == (answer.status, answer.code)
        assert "Submitted" == client.get(f"/jobs/{waiting}").text("JobsDetail/State")
    other = submit(client)
    assert 200 == client.put(f"/jobs/{waiting},{other}?cancel").status
    assert ["Cancel", "Cancel"] == client.get(f"/jobs/{waiting},{other}").texts("JobsDetail/State")


@pytest.mark.shows("PUT /jobs/{ids}")
@pytest.mark.parametrize("beyond", [True, False])
def test_cancel_running(serve: Callable[..., ApiServer], beyond: bool) -> None:
    """A running job is asked to stop, or refused where the vendor's behaviour is wanted."""
    server = serve(cancel_running=beyond)
    job = submit(server.client)
    assert server.store.attempts.claim("test", (0,)) is not None
    answer = server.client.put(f"/jobs/{job}?cancel")
    assert (200 if beyond else 400) == answer.status
    stored = server.store.jobs.find(job)
    assert stored is not None
    assert beyond is stored.cancel_requested
