"""Element tables: one row is all that a new element needs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.queue import NotifyConfig
from stemline.testing.client import submission
from stemline.testing.samples import finished_job
from stemline.wire.codec import parse, to_json, to_xml
from stemline.wire.elements import ANSWER, CALLBACK, REQUEST, Document, Element, Table
from stemline.wire.job import CALLBACK_BODY, JOB, JOB_REQUEST, OPERATION
from stemline.wire.kinds import TEXT, WORD, integer, one_of
from stemline.wire.resources import QUEUE
from stemline.wire.schema import SHARED, schemas

MOOD = Element("Mood", one_of("Calm", "Wild"), "spec.mood", optional=True)


@dataclasses.dataclass(frozen=True, slots=True)
class MoodySpec(JobSpec):
    """A specification with one more attribute."""

    mood: str | None = None


def with_mood(table: Table) -> Table:
    """A copy of a table and of the containers in it, with the made-up element in ``Operation``."""
    rows = [
        dataclasses.replace(row, kind=with_mood(row.kind)) if isinstance(row.kind, Table) else row
        for row in table.elements
    ]
    if table is OPERATION:
        rows.append(MOOD)
    # The copy of a shared container is described in place.
    return Table("" if table in SHARED else table.name, *rows, build=table.build)


def moody_job(mood: str | None) -> Any:
    job = finished_job()
    values = {field.name: getattr(job.spec, field.name) for field in dataclasses.fields(job.spec)}
    return dataclasses.replace(job, spec=MoodySpec(**values, mood=mood))


def test_a_new_element_is_read() -> None:
    """A made-up element, one row in a copy of the tables, is read and checked in requests."""
    table = with_mood(JOB_REQUEST)
    body = submission(operation="<Mood> Calm </Mood>").encode()
    assert "Calm" == table.read(parse(body, ""))["operation"]["spec"]["mood"]
    assert "mood" not in table.read(parse(submission().encode(), ""))["operation"]["spec"]
    with pytest.raises(RequestRefused, match="Mood must be one of Calm, Wild"):
        table.read(parse(submission(operation="<Mood>Sad</Mood>").encode(), ""))


def test_a_new_element_is_answered() -> None:
    """The made-up element is in XML and JSON answers, at the place of its row, where it was given."""
    table = with_mood(JOB)
    xml = to_xml("JobsDetail", table.write(moody_job("Wild"), Document.XML_ANSWER))
    assert b"<JobLevel>1</JobLevel><Mood>Wild</Mood></Operation>" in xml
    json = to_json(table.write(moody_job("Wild"), Document.JSON_ANSWER))
    assert b'"JobLevel":"1","Mood":"Wild"}' in json
    assert b"Mood" not in to_xml("JobsDetail", table.write(moody_job(None), Document.XML_ANSWER))


def test_a_new_element_is_in_the_callback() -> None:
    """The made-up element is in both forms of the callback, at its place in the order by names."""
    table = with_mood(CALLBACK_BODY)
    xml = to_xml("Response", table.write(moody_job("Calm"), Document.XML_CALLBACK))
    assert b"</MediaResult><Mood>Calm</Mood><Output>" in xml
    json = to_json(table.write(moody_job("Calm"), Document.JSON_CALLBACK))
    assert b',"Mood":"Calm","Output":{' in json


def test_a_new_element_is_described() -> None:
    """The made-up element is in the schemas of the request and of the answer."""
    expected = {"type": "string", "enum": ["Calm", "Wild"]}
    for table, document in ((JOB_REQUEST, REQUEST), (JOB, Document.JSON_ANSWER)):
        operation = with_mood(table).schema(document)["properties"]["Operation"]
        assert expected == operation["properties"]["Mood"]
        assert "Mood" not in operation["required"]


def test_shared_containers_are_the_same_in_requests_and_answers() -> None:
    """A schema that requests and answers refer to by one name is true of both."""
    for table in SHARED:
        assert table.schema(REQUEST) == table.schema(Document.JSON_ANSWER)
        assert table.schema(REQUEST) == schemas()[table.name]


TABLE = Table(
    "",
    Element("Zoo", WORD, "zoo", required="Zoo is missing."),
    Element("Ant", integer(1, 50), "deep.ant", optional=True, last_in=Document.XML_CALLBACK),
    Element("Bee", TEXT, "bee", documents=ANSWER, repeated=True, blank=True),
    Element("Cat", TEXT, "cat", documents=CALLBACK, repeated=True, optional=True),
)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (Document.XML_ANSWER, {"Zoo": "z", "Ant": "7", "Bee": ""}),
        (Document.JSON_ANSWER, {"Zoo": "z", "Ant": "7", "Bee": []}),
        (Document.XML_CALLBACK, {"Zoo": "z", "Ant": "7"}),
        (Document.JSON_CALLBACK, {"Ant": "7", "Zoo": "z"}),
    ],
)
def test_order_and_emptiness(document: Document, expected: dict[str, Any]) -> None:
    """Each document has its own elements in its own order, and its own way to show an empty list."""
    tree = TABLE.write({"zoo": "z", "deep": {"ant": 7}, "bee": [], "cat": []}, document)
    assert list(expected.items()) == list(tree.items())


def test_reading() -> None:
    """Values are put under the attributes of their source; an update may lack what is required."""
    assert {"zoo": "z", "deep": {"ant": 7}} == TABLE.read({"Zoo": " z ", "Ant": "7", "Bee": "not read"})
    assert {} == TABLE.read({}, partial=True)
    for fields, message in (
        ({}, "Zoo is missing."),
        ({"Zoo": ["a", "b"]}, "Zoo must be a single text."),
        ({"Zoo": "z", "Ant": "0"}, "Ant must be a whole number from 1 to 50."),
    ):
        with pytest.raises(RequestRefused, match=message):
            TABLE.read(fields)


def test_parameters_have_no_case() -> None:
    """Query parameters are found by their names in lower case."""
    assert {"zoo": "z", "deep": {"ant": 7}} == TABLE.read_parameters({"zoo": "z", "ant": "7"})


def test_queue_update_keeps_to_what_is_given() -> None:
    """An update of a queue reads nothing that the request does not give."""
    assert {"name": "n", "notify": {"state": "Off"}} == QUEUE.read(
        {"Name": "n", "NotifyConfig": {"State": "Off"}}, partial=True
    )
    assert NotifyConfig() == NotifyConfig(**QUEUE.read({"NotifyConfig": {}}, partial=True)["notify"])
