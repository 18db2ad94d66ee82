"""What `submit --dry-run` says before many tracks are separated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import click

from stemline.cli.output import counted, print_json, size_text, span

if TYPE_CHECKING:
    from stemline.client import Client, Queue
    from stemline.client.tracks.entry import Entry
    from stemline.client.tracks.sources import Track

_SAMPLE: Final = 100
"""Jobs that ended last, from which the speed is taken."""


def print_plan(
    client: Client,
    entries: Mapping[str, Entry],
    tracks: Sequence[Track],
    left: Sequence[Track],
    queues: Sequence[Queue],
    *,
    as_json: bool,
) -> None:
    """Print how many tracks there are, how much audio, and about how long it takes; nothing is submitted."""
    from stemline.client.tracks.entry import Entry

    found = [entries.get(track.id) or Entry(track.id) for track in tracks]
    again = {track.id for track in left}
    # A track that is done counts as new once its source has changed or a stem of it is missing.
    counts = Counter(
        "new" if entry.state == "done" and entry.track in again else entry.state for entry in found
    )
    lengths = list(durations(left))
    known = [seconds for seconds in lengths if seconds is not None]
    audio_s = sum(known) / len(known) * len(left) if known else None
    speed = speed_of_last_jobs(client)
    at_once = min((queue.max_concurrent for queue in queues), default=0)
    work_s = audio_s / speed if audio_s is not None and speed else None
    if as_json:
        plan = {
            "tracks": len(tracks),
            "states": counts,
            "bytes": sum(track.size or 0 for track in left),
            "audio_s": audio_s,
            "audio_s_known_of": len(known),
            "real_time_factor": speed,
            "one_worker_s": work_s,
            "queue_runs_at_once": at_once,
        }
        print_json(plan)
        return
    click.echo(
        f"{counted(len(tracks), 'track')}: "
        + ", ".join(f"{count} {state}" for state, count in counts.items())
    )
    click.echo(f"to send    {size_text(sum(track.size or 0 for track in left if track.path))}")
    if audio_s is None:
        click.echo(f"audio      unknown: {_why_unknown(left)}")
    else:
        guess = "" if len(known) == len(left) else f", from the {len(known)} whose length could be read"
        click.echo(f"audio      {span(audio_s)}{guess}")
    if audio_s is None:
        click.echo("time       unknown, because the length of the audio is")
    elif work_s is None:
        click.echo("time       unknown: no job has ended yet that shows the speed of the workers")
    else:
        click.echo(
            f"time       {span(work_s)} with one worker, at {speed:.1f} times real time as in the last jobs"
        )
        click.echo(f"           more workers divide it; the queue lets {counted(at_once, 'job')} run at once")
    click.echo("Nothing was submitted.")


def _why_unknown(left: Sequence[Track]) -> str:
    """Return why the length of no track could be read."""
    if not left:
        return "nothing is left to be done"
    if all(track.path is None for track in left):
        return "the tracks are in the bucket; lengths are read only from files of this machine"
    if find_spec("av") is None:
        return "lengths are read with the packages of stemline[worker], which are not installed here"
    return "no file could be read as audio"


def speed_of_last_jobs(client: Client) -> float | None:
    """Return seconds of audio that a worker separated in a second, over the jobs that ended last."""
    audio_s = work_s = 0.0
    for job in client.page(states=["Success"], size=_SAMPLE).jobs:
        if job.started and job.ended and job.duration_s:
            audio_s += job.duration_s
            # Times on the wire have whole seconds.
            work_s += max(0.5, (job.ended - job.started).total_seconds())
    return audio_s / work_s if work_s else None


def durations(tracks: Sequence[Track]) -> Iterator[float | None]:
    """Yield the length of each track, s; ``None`` where it is not known."""
    try:
        from stemline.separation.media.probe import chain_source, probe_file
    except ImportError:
        return
    for track in tracks:
        length = None
        if track.path is not None:
            with suppress(Exception):  # a damaged file fails when it is separated, and says why then
                probes = probe_file(track.path, track.size or 0)
                try:
                    length = chain_source(probes).duration_s
                finally:
                    for probe in probes:
                        probe.close()
        yield length
