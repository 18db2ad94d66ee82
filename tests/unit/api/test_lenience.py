"""What the vendor's API forgives is forgiven in every table: the case of words, and zeros for "not set"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.tenant import Tenant
from stemline.testing.client import submission
from stemline.wire import queries
from stemline.wire.codec import parse
from stemline.wire.elements import REQUEST, Element, Table
from stemline.wire.job import AUDIO_CONFIG, JOB_REQUEST
from stemline.wire.job_request import job_specs
from stemline.wire.kinds import Kind, spelled
from stemline.wire.queue_request import queue_changes
from stemline.wire.resources import QUEUE, TEMPLATE_REQUEST

REQUESTS = {"job": JOB_REQUEST, "template": TEMPLATE_REQUEST, "queue": QUEUE}
QUERIES = {
    name: table
    for name, table in vars(queries).items()
    if isinstance(table, Table) and name != "SUBMIT_HEADERS"
}
REGIONS = ("sh", "Local")


def rows(table: Table, path: str) -> Iterator[tuple[str, Element]]:
    """Every text of a table and of the containers in it that requests hold, with its path."""
    for row in table.rows(REQUEST):
        where = f"{path}.{row.name}"
        if isinstance(row.kind, Table):
            yield from rows(row.kind, where)
        else:
            yield where, row


TEXTS = [
    found for tables in (REQUESTS, QUERIES) for name, table in tables.items() for found in rows(table, name)
]
WORDS = [
    pytest.param(row.kind, word, id=f"{path}-{word}")
    for path, row in TEXTS
    if isinstance(row.kind, Kind)
    for word in row.kind.schema.get("enum", ())
    if not word.isdigit()
]
PAGES = [
    pytest.param(name, row, id=f"{name}.{row.name}")
    for name, table in QUERIES.items()
    for row in table.elements
    if row.name in {"pageNumber", "pageSize", "size"}
]


SPELLINGS = (str.lower, str.upper, str.swapcase, str.capitalize)


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_words_in_any_case(kind: Kind, word: str) -> None:
    """A word of a fixed set is read in any case, and as the canonical spelling."""
    for spell in SPELLINGS:
        assert kind.read(word) == kind.read(spell(word)), spell(word)


def test_every_fixed_set_is_found() -> None:
    """The words of modes, codecs, formats, targets, states and orders are among those that are tested."""
    tested = {param.values[1] for param in WORDS}
    wanted = {
        "IsAudio",
        "aac",
        "XML",
        "TDMQ",
        "Topic",
        "On",
        "Paused",
        "Desc",
        "Official",
        "All",
        "Speeching",
    }
    assert wanted <= tested


@pytest.mark.parametrize("text", ["taskfinish", "TASKFINISH,WorkFlowFinish", " taskFinish , TaskFinish "])
def test_lists_of_words(text: str) -> None:
    """The events of a notification and the states of a list are read in any case, each once."""
    event = dict(rows(QUEUE, "queue"))["queue.NotifyConfig.Event"].kind
    assert isinstance(event, Kind)
    assert set(event.read(text).split(",")) <= {"TaskFinish", "WorkflowFinish"}
    states = {"states": "SUCCESS,failed", "tag": "voiceseparate", "orderbytime": "asc"}
    read = queries.JOBS.read_parameters(states)
    assert {"Success", "Failed"} == read["states"]
    assert ("VoiceSeparate", "Asc") == (read["tag"], read["order"])
    assert queries.JOBS.read_parameters({"states": "success,ALL", "tag": "x"})["states"] is None


@pytest.mark.parametrize(("name", "row"), PAGES)
def test_zero_is_the_default(name: str, row: Element) -> None:
    """On every list, a page of 0 and a size of 0 are what a request without them gets."""
    tag = {"tag": "VoiceSeparate"}
    expected = QUERIES[name].read_parameters(tag)
    assert expected == QUERIES[name].read_parameters({**tag, row.name.lower(): "0"})
    assert expected == QUERIES[name].read_parameters({**tag, row.name.lower(): "00"})
    for text in ("-1", "x", "1.5"):
        with pytest.raises(RequestRefused, match=f"{row.name} must be a whole number from 1 to"):
            QUERIES[name].read_parameters({**tag, row.name.lower(): text})


@pytest.mark.parametrize(("text", "codec"), [("AAC", "aac"), ("acc", "aac"), ("Acc", "aac"), ("MP3", "mp3")])
def test_codecs(text: str, codec: str) -> None:
    """A codec is read in any case, and acc, which the vendor's documentation prints, is aac."""
    assert codec == AUDIO_CONFIG.read({"Codec": text}).codec


@pytest.mark.parametrize("text", ["acca", "ogg", "a ac", "mp\u0133"])
def test_unknown_codecs(text: str) -> None:
    """A codec that is none of them is still refused with the list of those that exist."""
    with pytest.raises(RequestRefused, match=r"AudioConfig\.Codec must be one of aac, mp3, flac, amr, wav"):
        AUDIO_CONFIG.read({"Codec": text})


def test_exact_spelling_first() -> None:
    """Of two words that differ in case alone, the one spelled as the text is meant."""
    assert "SH" == spelled("SH", ("sh", "SH"))
    assert "sh" == spelled("sh", ("sh", "SH"))


def change(notify: dict[str, Any], stored: NotifyConfig | None = None) -> NotifyConfig:
    changes = queue_changes({"NotifyConfig": notify}, stored or NotifyConfig(), mq_regions=REGIONS)
    found = changes["notify"]
    assert isinstance(found, NotifyConfig)
    return found


@pytest.mark.parametrize("url", ["www.example.com/cb", "example.com", "mailto:x", "not a url", "http://"])
def test_url_while_off(url: str) -> None:
    """A queue's Url is stored as it is while State is Off, and checked as soon as State is On."""
    assert url == change({"State": "Off", "Url": url}).url
    assert url == change({"Url": url}).url
    on = {"State": "on", "Event": "TaskFinish", "Type": "url"}
    refusal = r"NotifyConfig\.Url must be an http or https URL"
    with pytest.raises(RequestRefused, match=refusal):
        change({**on, "Url": url})
    with pytest.raises(RequestRefused, match=refusal):
        change(on, NotifyConfig(url=url))
    with pytest.raises(RequestRefused, match=refusal):
        change({"Url": url}, NotifyConfig("On", "TaskFinish", type="Url", url="http://cb.example.com"))


def test_url_that_is_not_used() -> None:
    """A Url stored while State was Off is no obstacle to notifications over TDMQ."""
    mq = {"State": "On", "Event": "TaskFinish", "Type": "tdmq", "MqRegion": "LOCAL", "MqName": "done"}
    found = change(mq, NotifyConfig(url="www.example.com"))
    assert ("TDMQ", "Local") == (found.type, found.mq_region)


def test_long_url() -> None:
    """A Url is never longer than 2,048 characters."""
    with pytest.raises(RequestRefused, match="at most 2048 characters"):
        change({"State": "Off", "Url": "x" * 2049})


def test_a_submission_in_other_cases() -> None:
    """A submission with every word in another case is the same job; MusicMode ignores the same numbers."""
    mq = "<CallBackMqConfig><MqRegion>{}</MqRegion><MqMode>{}</MqMode><MqName>q</MqName></CallBackMqConfig>"

    def specs(mode: str, codec: str, kind: str, form: str, *target: str) -> list[JobSpec]:
        config = f"<AudioConfig><Codec>{codec}</Codec><Samplerate>CD</Samplerate></AudioConfig>"
        callback = f"<CallBackType>{kind}</CallBackType><CallBackFormat>{form}</CallBackFormat>"
        body = submission(mode=mode, config=config, request=callback + mq.format(*target))
        return job_specs(parse(body.encode(), ""), Tenant("b-1", "ap-x"), lambda _: None, mq_regions=REGIONS)

    plain = specs("MusicMode", "wav", "TDMQ", "JSON", "Local", "Topic")
    assert plain == specs("MUSICMODE", "WAV", "tdmq", "json", "LOCAL", "TOPIC")
