"""What an append-only file shows of a job, for the comparison with the model."""

from __future__ import annotations

from tools.traces import read


def words(*commands: str) -> list[list[bytes]]:
    return [command.encode().split(b" ") for command in commands]


def test_a_record_is_shown_after_each_transaction() -> None:
    """Of all fields those of the model count, and tokens by their order."""
    upload = '[{"upload_id":1},{"upload_id":2}]'
    file = [
        words("HSET p:job:j1 state Submitted created 5", "ZADD p:ended 1 j1"),
        words("HSET p:job:j1 state Running token 700", "HINCRBY p:job:j1 attempt 1"),
        words("HSET p:job:j1 progress 5"),
        words(f"HSET p:job:j1 uploads {upload}"),
        words("HSET p:job:j1 cancel 1"),
        words("HSET p:job:j1 token 900"),
        words("HSET p:job:j1 state Cancel", "HDEL p:job:j1 uploads"),
    ]
    assert read(file, "p")["j1"].shown == [
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 1, 1, False, True),
        ("Running", 1, 1, True, True),
        ("Running", 2, 1, True, True),
        ("Cancel", 2, 1, False, False),
    ]


def test_an_attempt_that_is_taken_back_is_not_modelled() -> None:
    """The model has no attempts that do not count: such a job is counted apart."""
    file = [
        words("HSET p:job:j1 state Running token 7", "HINCRBY p:job:j1 attempt 1"),
        words("HINCRBY p:job:j1 attempt -1"),
    ]
    assert not read(file, "p")["j1"].is_modelled


def test_a_job_that_is_given_back_after_its_deadline_waits_before_it_is_cancelled() -> None:
    """Two states in one transaction are two steps of the model."""
    file = [
        words("HSET p:job:j1 state Running token 7", "HINCRBY p:job:j1 attempt 1"),
        words(
            "HSET p:job:j1 state Submitted",
            "HDEL p:job:j1 worker",
            "HSET p:job:j1 state Cancel",
            "HSET p:job:j1 code X",
        ),
    ]
    assert read(file, "p")["j1"].shown == [
        ("Running", 1, 1, False, False),
        ("Submitted", 1, 1, False, False),
        ("Cancel", 1, 1, False, False),
    ]
