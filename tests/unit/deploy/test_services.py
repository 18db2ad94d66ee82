"""The configuration of the local stack's programs."""

from __future__ import annotations

import pytest

from stemline.deploy.local.services import messages_url


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://:pw@127.0.0.1:6379/0", "redis://:pw@127.0.0.1:6379/1"),
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/1"),
        ("redis://127.0.0.1:6379/4", "redis://127.0.0.1:6379/5"),
    ],
)
def test_messages_have_a_database_of_their_own(redis_url, expected):
    """A message queue named like one of Celery's is not one of Celery's."""
    assert expected == messages_url(redis_url)
