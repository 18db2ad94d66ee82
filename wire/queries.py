"""Query parameters of the lists (docs/wire/wire.md, 4.2, 5.3 and 6.2 to 6.5).

Each table reads a query with :meth:`~stemline.wire.elements.Table.read_query` into a ``dict``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stemline.jobs.errors import RequestRefused
from stemline.jobs.separation import TAG
from stemline.jobs.states import QueueState, State
from stemline.wire import kinds
from stemline.wire.elements import Element, Table
from stemline.wire.job import QUEUE_TYPE
from stemline.wire.kinds import COMMA_LIST, TEXT, TIME, Kind, integer, matching, one_of

MAX_IDS = 10
SPEECH_CATEGORIES = frozenset({"", "all", "cateall", QUEUE_TYPE.lower()})
"""Values of ``category`` that include the speech queue, in lower case."""


def _tags(*words: str) -> Kind:
    """Return the kind of a text that chooses nothing unless it is one of the words."""
    return replace(TEXT, schema=one_of(*words).schema)


_PAGE = (
    Element("pageNumber", integer(1), "page", default=1, description="From 1."),
    Element("pageSize", integer(1, 100), "size", default=10, description="10 by default."),
)


def _states(text: str) -> frozenset[State] | None:
    names = kinds.split(text)
    states = frozenset(State(name) for name in names if name != "All")
    return None if "All" in names or not states else states


_STATES = Kind(_states, f"{{name}} must be All or a list of {', '.join(State)}.", parameter=TEXT.schema)
_TO_THE_END_OF_THE_SECOND = replace(TIME, read=lambda text: TIME.read(text) + 999_999)

SUBMIT_HEADERS = Table(
    "",
    (
        Element(
            "Idempotency-Key",
            matching("^[!-~]{1,255}$", "{name} must be 1 to 255 printable ASCII characters without spaces."),
            "key",
            description="The same key and body within a day give the same jobs; another body is 409.",
        ),
    ),
)
JOBS = Table(
    "",
    (
        Element(
            "tag",
            _tags(TAG),
            "tag",
            required="tag is missing.",
            description=f"{TAG}; there are no jobs with another tag.",
        ),
        Element("queueId", TEXT, "queue_id", description="Jobs of this queue; outranks queueType."),
        Element(
            "queueType",
            _tags(QUEUE_TYPE),
            "queue_type",
            default=QUEUE_TYPE,
            description="Jobs of queues of this type.",
        ),
        Element(
            "orderByTime",
            one_of("Desc", "Asc"),
            "order",
            default="Desc",
            description="Order by creation time; Desc by default.",
        ),
        Element(
            "nextToken",
            matching("^[0-9]{1,16}$", "{name} is not one that a list returned."),
            "cursor",
            description="NextToken of the previous page.",
        ),
        Element("size", integer(1, 100), "size", default=10, description="Jobs on a page; 10 by default."),
        Element("states", _STATES, "states", description=f"All, or a comma list of {', '.join(State)}."),
        Element("startCreationTime", TIME, "start", description="Not before, as 2026-03-01T10:20:30+0800."),
        Element("endCreationTime", _TO_THE_END_OF_THE_SECOND, "end", description="Not after."),
        Element("inputObject", TEXT, "input_object", description="Jobs with exactly this source key."),
        Element("workflowId", TEXT, "others", description="There are no workflows: an empty list."),
        Element(
            "inventoryTriggerJobId",
            TEXT,
            "others",
            description="There are no inventory triggers: an empty list.",
        ),
    ),
)
TEMPLATES = Table(
    "",
    (
        Element("tag", _tags(TAG, "All"), "tag", default="All", description="All by default."),
        Element(
            "category",
            one_of("Custom", "Official"),
            "category",
            default="Custom",
            description="Custom by default; there are no official templates.",
        ),
        Element(
            "ids",
            COMMA_LIST,
            "ids",
            default=(),
            description="Comma list of ids; the other parameters are then ignored.",
        ),
        Element("names", TEXT, "name_prefix", default="", description="The same as name."),
        Element("name", TEXT, "name_prefix", description="Beginning of the name."),
        *_PAGE,
    ),
)
_QUEUES = (
    Element("queueIds", COMMA_LIST, "ids", default=(), description="Comma list of ids."),
    Element(
        "state",
        one_of(*QueueState, "All", make=lambda word: None if word == "All" else QueueState(word)),
        "state",
        description="All by default.",
    ),
    *_PAGE,
)
ASR_QUEUES = Table("", _QUEUES)
QUEUES = Table(
    "", (*_QUEUES, Element("category", TEXT, "category", default="", description="CateAll, or Speeching."))
)
BUCKETS = Table(
    "",
    (
        Element("regions", COMMA_LIST, "regions", default=(), description="Comma list of regions."),
        Element("bucketNames", COMMA_LIST, "names", default=(), description="Comma list of names."),
        Element("bucketName", TEXT, "name_part", default="", description="A part of the name."),
        *_PAGE,
    ),
)
_DEAD_LETTERS = (
    Element("host", TEXT, "host", description="Host of the URL, or MqRegion/MqName."),
    Element(
        "startTime",
        TIME,
        "since",
        description="Failed for good at or after this time, as 2026-03-01T10:20:30+0800.",
    ),
)
REPLAY = Table("", _DEAD_LETTERS)
CALLBACKS = Table("", (*_DEAD_LETTERS, *_PAGE))


def ids_alone(query: Mapping[str, str]) -> Mapping[str, str]:
    """Return the query without its other parameters where it names ids."""
    return {"ids": query["ids"]} if kinds.split(query.get("ids", "")) else query


def id_list(text: str, of: str) -> tuple[str, ...]:
    """Return the ids of a path.

    Args:
        text: ids joined by commas.
        of: what they are ids of, for the message.

    Raises:
        RequestRefused: there are none or more than ``MAX_IDS``.
    """
    ids = tuple(kinds.split(text))
    if not 1 <= len(ids) <= MAX_IDS:
        raise RequestRefused(f"One to {MAX_IDS} {of} ids are allowed.")
    return ids
