"""What the command line says to do about a refused request, a wrong clock and a manifest in use."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner

from stemline.cli.change_jobs import _ask
from stemline.cli.exits import CommandFailed, failure
from stemline.cli.main import main
from stemline.cli.refusals import refused
from stemline.cli.request_advice import REQUEST_ADVICE
from stemline.client import Client
from stemline.client.errors import ApiError, NotFound
from stemline.client.exchange import Exchange
from stemline.client.queues import queues
from stemline.client.target import Target
from stemline.client.tracks.manifest import Manifest, ManifestInUse
from stemline.wire.errors import ANSWERS

NOW = 1_800_000_000.0
SELF_EXPLAINING = {"InvalidArgument", "InvalidContent", "NoSuchResource"}


def test_every_code_of_the_wire_has_advice() -> None:
    """Only a code whose message says what to do has none, and no other code has one."""
    assert {code for code, _ in ANSWERS.values()} == set(REQUEST_ADVICE)
    assert {code for code, text in REQUEST_ADVICE.items() if not text} == SELF_EXPLAINING


def test_an_existing_template_is_not_only_named() -> None:
    """A name that is taken is a fault with a way out."""
    hint = failure(ApiError("TemplateNameDuplicate", "A template of this name exists already.")).hint
    assert "another name" in hint
    assert "`stemline templates delete`" in hint


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("there is no queue job-1 in this bucket", "stemline queues"),
        ("there is no template x in this bucket", "stemline templates list"),
        ("The batch does not exist.", "stemline batches list"),
        ("The job does not exist.", "stemline jobs"),
        ("The path does not exist.", "--api"),
    ],
)
def test_what_is_not_there_is_listed_by_a_command(message: str, command: str) -> None:
    """Whatever an id looks like, the hint is about what is missing."""
    assert command in failure(NotFound("NoSuchResource", message, status=404)).hint


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("resume --size 5", "MaxSize must be a whole number from 1 to 10000000.", "correct --size"),
        ("resume --size 5", "MaxConcurrent must be at most 100.", "correct --concurrent"),
        (
            "batches create a --name b",
            "Name must be at most 128 printable ASCII characters.",
            "correct --name",
        ),
        (
            "templates create a --codec amr",
            "AudioConfig.Samplerate for amr must be 8000.",
            "correct --samplerate",
        ),
        (
            "templates create a --codec flac --stems 4",
            "With MusicMode, AudioConfig.Codec must be one of aac, mp3, wav.",
            "correct --codec",
        ),
        ("templates create a --stems 4", "AudioMode must be another.", "correct --stems or --only"),
        ("templates create a", "Name must be 1 to 64 letters.", ""),
        ("resume --size 5", "This is not about MaxSize.", ""),
    ],
)
def test_a_field_that_is_refused_is_named_as_its_option(
    words: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service knows fields, people know options; where the command has none there is no hint."""

    def refuse(*_: object, **__: object) -> None:
        raise ApiError("InvalidArgument", message, status=400)

    monkeypatch.setattr(Client, "send", refuse)
    keys = {"STEMLINE_API": "http://127.0.0.1:1", "STEMLINE_SECRET_ID": "id", "STEMLINE_SECRET_KEY": "key"}
    place = {"STEMLINE_BUCKET": "media-1250000000", "STEMLINE_REGION": "ap-chongqing"}
    ended = CliRunner().invoke(main, words.split(), env={**keys, **place})
    expected = [f"Error: InvalidArgument: {message}", *([f"Hint: {hint}"] if hint else [])]
    assert (1, expected) == (ended.exit_code, ended.stderr.splitlines())


@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("Deadline must be after NotBefore.", "--deadline"),
        ("AudioConfig.Bitrate must be 8 to 1000 kbit/s.", "--bitrate"),
        ("The combination is not possible.", "the option"),
    ],
)
def test_the_option_of_a_refusal_is_the_first_one_of_its_message(message: str, option: str) -> None:
    """What the message is about comes first in it."""
    assert f"correct {option} and" in refused(ApiError("InvalidArgument", message, status=400)).hint


def test_a_refusal_with_advice_of_its_own_names_no_option_in_general() -> None:
    """A region that the service does not know is corrected where it is given."""
    message = "X-Stemline-Tenant must name a region of this service and a bucket."
    hint = refused(ApiError("InvalidHost", message, status=400)).hint
    assert "nothing more was submitted; check --bucket, --region and --api" in hint


def denied(code: str, message: str, *, ahead_s: float) -> CommandFailed:
    """How a command ends that the service refuses, whose clock differs from this one."""
    exchange = Exchange(Target("http://127.0.0.1:1", "id", "key", "b-1", "r"), clock=lambda: NOW)
    response = httpx.Response(
        403,
        json={"Error": {"Code": code, "Message": message}},
        headers={"Date": formatdate(NOW - ahead_s, usegmt=True)},
    )
    with pytest.raises(ApiError) as caught:
        exchange.read(queues(), response)
    return failure(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [("RequestTimeTooSkewed", "The difference is too large."), ("AccessDenied", "Request has expired")],
)
@pytest.mark.parametrize(("ahead_s", "said"), [(3600, "1 h 00 min ahead of"), (-1800, "30 min 00 s behind")])
def test_a_wrong_clock_is_named_with_its_error(code: str, message: str, ahead_s: float, said: str) -> None:
    """The service's answer has its time: the hint says by how much the clock is wrong."""
    assert f"the clock of this machine is {said} the service's" in denied(code, message, ahead_s=ahead_s).hint


def test_a_clock_is_not_blamed_for_other_refusals() -> None:
    """A wrong key stays a wrong key, and a clock that is right is not said to be wrong."""
    assert "of this machine" not in denied("InvalidAccessKeyId", "no such key", ahead_s=3600).hint
    assert "of this machine" not in denied("AccessDenied", "Request has expired", ahead_s=1).hint


def test_a_second_run_over_a_manifest_says_what_to_do(tmp_path: Path) -> None:
    """The first run goes on; the second ends with a line and a hint."""
    with Manifest(tmp_path / "m.jsonl", "keys", {}):
        with pytest.raises(ManifestInUse, match="in use by another") as caught:
            Manifest(tmp_path / "m.jsonl", "keys", {})
        assert "another folder with -o" in failure(caught.value).hint


@pytest.mark.parametrize(("answer", "error"), [("", CommandFailed), ("n\n", click.Abort)])
def test_a_question_that_nobody_answers(answer: str, error: type[Exception]) -> None:
    """Without a terminal the command says that --yes is needed; a no is only obeyed."""
    said: list[Exception] = []

    @click.command()
    def ask() -> None:
        try:
            _ask("2 jobs will be cancelled. Continue?")
        except (CommandFailed, click.Abort) as ended:
            said.append(ended)

    CliRunner().invoke(ask, input=answer)
    (ended,) = said
    assert type(ended) is error
    assert error is click.Abort or "--yes" in ended.hint  # type: ignore[attr-defined]
