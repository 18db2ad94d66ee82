"""Texts from outside are cut before they become part of a record."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from stemline.callbacks.outcome import failed
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.probe import Probe
from stemline.jobs.text import shorten


@pytest.mark.parametrize("text", ["", "short", "x" * 1024, "\N{EURO SIGN}" * 341])
def test_short_texts_stay(text: str) -> None:
    """A text of at most a kilobyte is kept as it is."""
    assert text == shorten(text)


@pytest.mark.parametrize(
    "sign", ["x", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{EURO SIGN}", "\N{GRINNING FACE}"]
)
def test_long_texts_are_marked(sign: str) -> None:
    """Of a longer text the first whole characters are kept, with a mark."""
    kept = shorten(sign * 50_000)
    assert kept == sign * (len(kept) - 1) + "…"
    assert 1018 <= len(kept.encode()) <= 1024


def test_a_lone_surrogate_can_be_stored() -> None:
    """Half of a pair, as JSON may hold, becomes a text that UTF-8 has."""
    assert "a?b" == shorten("a\ud800b")


def test_a_longer_record_of_an_earlier_release_is_cut_when_it_is_read() -> None:
    """An attempt that was kept whole is shown cut, and so is a probe's answer."""
    stored = b'{"at": 1, "status": "closed", "duration_ms": 2, "answer": "' + b"a" * 360_035 + b'"}'
    attempt = TypeAdapter(DeliveryAttempt).validate_json(stored)
    assert 1024 == len(attempt.answer.encode())
    probe = TypeAdapter(Probe).validate_json(b'{"message": "' + b"a" * 50_000 + b'"}')
    assert 1024 == len(probe.message.encode())
    assert 1024 == len(failed("closed", ValueError("a" * 50_000)).answer.encode())
