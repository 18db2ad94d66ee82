"""Events are put together from the parts of a stream."""

from __future__ import annotations

import pytest

from stemline.client.errors import ConnectionFailed
from stemline.client.events import EventReader

STREAM = (
    b"retry: 2000\n\n"
    b"id: 5-0\nevent: open\ndata: {}\n\n: heartbeat\n\n"
    b'id: 5-1\nevent: job\ndata: {"JobId":"j1","State":"Running","Stage":"separate","Progress":"41",'
    b'"Code":"Success","Time":"2026-09-22T10:20:30+0800"}\n\n'
    b'event: position\ndata: {"JobId":"j1","Position":"3"}\n\n'
    b'id: 5-2\nevent: queue\ndata: {"QueueId":"p1","State":"Paused"}\n\n'
    b'id: 5-3\nevent: job\ndata: {"JobId":"j1","State":"Success","Progress":"100"}\n\n'
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_read_however_they_are_cut(size: int) -> None:
    """Parts of any size give the same events; comments and other fields give none."""
    reader = EventReader()
    events = [e for at in range(0, len(STREAM), size) for e in reader.feed(STREAM[at : at + size])]
    assert ["open", "job", "position", "queue", "job"] == [event.kind for event in events]
    running, position, queue = events[1:4]
    assert ("j1", "Running", "separate", 41) == (
        running.subject,
        running.state,
        running.stage,
        running.progress,
    )
    assert running.at is not None
    assert (3, "") == (position.position, position.id)
    assert ("p1", "Paused", None) == (queue.subject, queue.state, queue.at)
    assert ("5-3", False) == (reader.last, reader.has_ended)


@pytest.mark.parametrize("data", [b"[]", b'{"a":', b'{"a":' * 100_000], ids=["list", "cut", "deep"])
def test_what_is_no_event_is_said(data: bytes) -> None:
    """Whatever a server sends in the place of an event is an error of the client, not of Python."""
    with pytest.raises(ConnectionFailed, match="this is not an event"):
        EventReader().feed(b"data: %b\n\n" % data[:60_000])


def test_a_stream_goes_on_after_the_last_whole_event() -> None:
    """What was read of an unfinished event is forgotten; the next request names the last whole one."""
    reader = EventReader("j1")
    assert {} == reader.call().headers
    assert [] == reader.feed(STREAM[: STREAM.index(b"id: 5-2") + 20])[3:]
    call = reader.call()
    assert ("/jobs/j1/events", {"Last-Event-ID": "5-1"}) == (call.path, call.headers)
    assert ["queue", "job"] == [event.kind for event in reader.feed(STREAM[STREAM.index(b"id: 5-2") :])]
    assert reader.has_ended


@pytest.mark.parametrize("wrong", [b"data: [1]\n\n", b"data: <html>\n\n", b"x" * 70_000])
def test_what_is_no_event_is_an_error(wrong: bytes) -> None:
    """Another server's stream, and an event without an end, are refused."""
    with pytest.raises(ConnectionFailed):
        EventReader().feed(wrong)


def test_a_stream_may_break_anywhere() -> None:
    """Wherever a connection ends, the events before and after the break are those of the whole stream."""
    whole = EventReader("j1").feed(STREAM)
    assert len(whole) > 1
    for end in range(len(STREAM)):
        reader = EventReader("j1")
        before = reader.feed(STREAM[:end])
        last = reader.call().headers.get("Last-Event-ID", "")
        following = STREAM[STREAM.index(b"id: " + last.encode()) :].partition(b"\n\n")[2] if last else STREAM
        after = reader.feed(following)
        # A position has no id, so one that came last is sent again.
        ids = [event.id for event in (*before, *after) if event.id]
        assert ids == [event.id for event in whole if event.id]
        assert [event.kind for event in after] == [event.kind for event in EventReader("j1").feed(following)]
