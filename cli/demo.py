"""``stemline demo``: separate one song, from submission to callback, on a local stack."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemline.cli.examples import command_with
from stemline.cli.output import printable, screen
from stemline.cli.up import stop_on_signals
from stemline.cli.words import INPUT_PATH
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from rich.console import Console

    from stemline.client import Client
    from stemline.deploy.demo.receiver import Receiver
    from stemline.deploy.local.stack import Stack
    from stemline.jobs.job import Job
    from stemline.testing.song import Song

OUTPUT = Path("demo-output")
_CALLBACK_TIMEOUT_S = 60.0


class DemoFailed(RuntimeError):
    """The demo cannot be completed."""


@dataclass(slots=True)
class Timeline:
    """Events and their times, Unix seconds."""

    events: list[tuple[str, float]] = field(default_factory=list)

    def add(self, event: str, at: float | None = None) -> None:
        """Add an event, by default at the present time."""
        self.events.append((event, time.time() if at is None else at))


@command_with("stemline demo", "stemline demo song.mp3")
@click.argument("song", required=False, type=INPUT_PATH)
@click.option(
    "--model", default="2stems", show_default=True, help="A model that separates voice and background."
)
def demo(song: Path | None, model: str) -> None:
    """Separate the demo song, or SONG, from submission to callback."""
    from stemline.client import ClientError
    from stemline.deploy.local.stack import Stack, StackError
    from stemline.runtime import extras
    from stemline.runtime.settings import Settings

    extras.require("local")
    home = Settings().local.home
    console = screen(highlight=True)
    stop_on_signals()
    stack: Stack | None = None
    try:
        with console.status("Fetching the weights of the networks ...") as status:
            prepare_model(model)
            status.update("Generating the demo song ...")
            mix, generated = make_song(song)
            status.update("Starting the stack ...")
            stack = Stack(home, report=status.update)
            stack.start()
        run(stack, console, mix, generated, name=song.name if song else "demo-song.wav")
    except KeyboardInterrupt:
        console.print("Stopped.")
        sys.exit(130)
    except (ClientError, DemoFailed, StackError) as error:
        print_failure(console, stack, str(error))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - any failure is one sentence and a log
        print_failure(console, stack, reason_of(error), details=traceback.format_exc())
        sys.exit(1)
    finally:
        if stack is not None:
            stack.stop()


def print_failure(console: Console, stack: Stack | None, reason: str, *, details: str = "") -> None:
    """Print why the demo failed and where the logs are."""
    from rich.markup import escape

    console.print(f"[bold red]The demo failed:[/] {escape(reason)}", soft_wrap=True)
    if stack is not None:
        if details:
            with suppress(OSError):
                stack.home.log("demo").write_text(details)
        console.print(f"Logs: {stack.home.logs}", soft_wrap=True)


def prepare_model(name: str) -> None:
    """Have a model at hand, and let the stack's workers answer voice and background with it.

    Raises:
        DemoFailed: Its weights cannot be fetched, or it was not added.
    """
    from stemline.models.catalogue import BUILT_IN, model_named
    from stemline.models.download import pull
    from stemline.models.library import card_named
    from stemline.models.loading import load_engine
    from stemline.models.weights import WeightStore
    from stemline.runtime.settings import Settings
    from stemline.separation.errors import SeparationError

    options = Settings().engine
    store = WeightStore(options.models_dir)
    try:
        if name in BUILT_IN:
            pull(store, model_named(name), mirror=options.models_mirror)
        if "AudioAndBackground" not in card_named(name, store).modes():
            raise DemoFailed(f"the model {name} does not answer AudioAndBackground")
        if name not in BUILT_IN:
            load_engine(name, directory=options.models_dir, device=options.device)
    except SeparationError as error:
        raise DemoFailed(f"the model {name} cannot be used: {error}") from error
    os.environ["STEMLINE_MODE_MODELS"] = json.dumps({"AudioAndBackground": name})


def make_song(path: Path | None) -> tuple[bytes, Song | None]:
    """Return the file to separate, and the generated song with its true stems if no file is given."""
    if path is not None:
        return path.read_bytes(), None
    from stemline.testing.song import demo_song

    song = demo_song()
    return song.mix, song


def run(stack: Stack, console: Console, mix: bytes, generated: Song | None, *, name: str) -> None:
    """Upload the song, submit a job, wait for its callback, download the stems and print a report."""
    from stemline.client import Client
    from stemline.deploy.demo.receiver import receiver

    addresses = stack.addresses
    s3 = stack.s3_client()
    folder = f"demo/{int(time.time())}"
    source = f"{folder}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
    outputs = {stem: f"{folder}/{stem}.wav" for stem in ("voice", "background")}
    timeline = Timeline()
    client = Client(addresses.target)
    try:
        with receiver() as inbox:
            s3.put_object(Bucket=addresses.bucket, Key=source, Body=mix)
            timeline.add(f"uploaded {len(mix) / 1e6:.1f} MB")
            job_id = client.submit(source, output=outputs, codec="wav", callback=inbox.url).id
            watch(stack, console, client, job_id)
            wait_for_callback(stack, inbox, job_id)
        job = stack.job(job_id)
        timeline.add("accepted", job.created / 1e6)
        timeline.add(f"running on {job.worker}", (job.started or 0) / 1e6)
        timeline.add("finished, stems in the bucket", (job.ended or 0) / 1e6)
        timeline.add("callback received", inbox.at)
        OUTPUT.mkdir(exist_ok=True)
        stems = {}
        for stem, key in outputs.items():
            stems[stem] = s3.get_object(Bucket=addresses.bucket, Key=key)["Body"].read()
            (OUTPUT / f"{stem}.wav").write_bytes(stems[stem])
        (OUTPUT / "callback.xml").write_bytes(inbox.body)
        if generated is not None:
            (OUTPUT / "mix.wav").write_bytes(mix)
        timeline.add("stems downloaded")
        report(console, job, timeline, stems, generated)
    finally:
        client.close()
        s3.close()


def watch(stack: Stack, console: Console, client: Client, job_id: str) -> None:
    """Show a progress bar until the job has ended.

    Raises:
        DemoFailed: The job did not succeed.
    """
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from stemline.cli.bars import Bars

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console.print(f"Job {job_id}")
    with Bars(*columns, console=console) as bar:
        task = bar.add_task("Submitted", total=100)
        said = ""
        while True:
            job = client.get(job_id)
            bar.update(task, description=job.state, completed=100 if job.succeeded else job.progress)
            why = job.message or job.wait_reason
            if why and why != said and not job.has_ended:
                console.print(printable(f"{job.state}: {why}"), markup=False)
                said = why
            if job.succeeded:
                return
            if job.has_ended:
                raise DemoFailed(
                    f"the job ended {job.state}: {job.code}: {job.message}; see {stack.home.log('worker')}"
                )
            stack.check()
            time.sleep(0.1)


def wait_for_callback(stack: Stack, inbox: Receiver, job_id: str) -> None:
    """Wait for the callback of the job.

    Raises:
        DemoFailed: It did not arrive, or it is for another job.
    """
    deadline = time.monotonic() + _CALLBACK_TIMEOUT_S
    while not inbox.received.wait(0.5):
        stack.check()
        if time.monotonic() > deadline:
            raise DemoFailed(
                f"no callback within {_CALLBACK_TIMEOUT_S:g} s; see {stack.home.log('callbacks')}"
            )
    if job_id.encode() not in inbox.body:
        raise DemoFailed("the callback is for another job")


def report(
    console: Console, job: Job, timeline: Timeline, stems: dict[str, bytes], generated: Song | None
) -> None:
    """Print the timeline, the speed and, for the generated song, the quality of the stems."""
    from rich.table import Table

    from stemline.deploy.demo.measure import samples, sdr_db
    from stemline.testing.song import RATE

    table = Table(title="Timeline", title_justify="left", box=None)
    table.add_column("s", justify="right")
    table.add_column("")
    start = timeline.events[0][1]
    for event, at in sorted(timeline.events, key=lambda each: each[1]):
        table.add_row(f"{at - start:.2f}", event)
    console.print(table)
    seconds = ((job.ended or 0) - (job.started or 0)) / 1e6
    length = len(samples(stems["voice"])) / RATE
    console.print(
        f"Real-time factor: {length / seconds:.1f} "
        f"({length:.1f} s of music in {seconds:.2f} s, download and upload included)"
    )
    if generated is not None:
        quality = Table(title="Signal-to-distortion ratio", title_justify="left", box=None)
        for title in ("stem", "of the mix", "of the stem", "gain"):
            quality.add_column(title, justify="left" if title == "stem" else "right")
        mix = samples(generated.mix)
        for stem, true in (("voice", generated.voice), ("background", generated.background)):
            before = sdr_db(samples(true), mix)
            after = sdr_db(samples(true), samples(stems[stem]))
            quality.add_row(stem, f"{before:.1f} dB", f"{after:.1f} dB", f"{after - before:.1f} dB")
        console.print(quality)
    console.print(f"The stems are in [bold]{OUTPUT}/[/]: listen to voice.wav and background.wav.")
