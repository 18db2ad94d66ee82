"""Query parameters and headers (docs/wire/wire.md, 4.2, 5.3 and 6.2 to 6.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stemline.jobs.delivery import DELIVERY_STATUSES
from stemline.jobs.errors import RequestRefused
from stemline.jobs.separation import TAG
from stemline.jobs.states import QueueState, State
from stemline.wire import ids
from stemline.wire.additions import DAY
from stemline.wire.authorization import FIELDS
from stemline.wire.elements import Table, parameter
from stemline.wire.job import QUEUE_TYPE
from stemline.wire.kinds import (
    COMMA_LIST,
    KEY,
    QUERY_TEXT,
    TIME,
    Kind,
    integer,
    matching,
    one_of,
    page_number,
    spelled,
    split,
)
from stemline.wire.signature import TOKEN_NAMES
from stemline.wire.spelling import spelled as spelled_name

MAX_IDS = 10
SPEECH_CATEGORIES = frozenset({"", "all", "cateall", QUEUE_TYPE.lower()})
"""Values of ``category`` that include the speech queue, in lower case."""


def _filter(*words: str) -> Kind:
    """Return the kind of a text that selects nothing unless it is one of the words, in any case."""
    return replace(QUERY_TEXT, read=lambda text: spelled(text, words) or text, schema=one_of(*words).schema)


def _states(text: str) -> frozenset[State] | None:
    states = frozenset(_STATE.read(name) for name in split(text))
    return None if None in states or not states else states


_STATE = one_of(*State, "All", make=lambda word: None if word == "All" else State(word))
_STATES = Kind(_states, f"{{name}} must be All or a list of {', '.join(State)}.")
_QUEUE_STATES = one_of(*QueueState, "All", make=lambda word: None if word == "All" else QueueState(word))
_STATUS = one_of("Pending", "Delivered", "Dead", "All", make=str.lower)


def _statuses(text: str) -> frozenset[str]:
    found = frozenset(_STATUS.read(name) for name in split(text))
    return DELIVERY_STATUSES if "all" in found or not found else found


_STATUSES = Kind(_statuses, "{name} must be All or a list of Pending, Delivered, Dead.")
_CURSOR = matching("^[0-9]{1,16}$", "{name} is not one that a list returned.")
_END = replace(TIME, read=lambda text: TIME.read(text) + 999_999)
"""A time that includes the whole of its second."""
_KEY = matching("^[!-~]{1,255}$", "{name} must be 1 to 255 printable ASCII characters without spaces.")
EVENT_ID = matching("^[0-9]{1,15}-[0-9]{1,19}$", "{name} is not the id of an event.")
"""Of what the service tells in a stream."""
_WAIT = re.compile(r"wait\s*=\s*\"?([^;,\"\s]*)\"?", re.IGNORECASE)


def _wait(text: str) -> int | None:
    """Return the seconds of ``wait=N`` among the preferences of RFC 7240, if there are any."""
    given = [match for part in text.split(",") if (match := _WAIT.match(part.strip()))]
    return integer(0, 999).read(given[0][1]) if given else None


PREFER = parameter(
    "Prefer",
    Kind(_wait, "Prefer: wait must be a whole number of seconds.", {"type": "string"}),
    "wait_s",
    "wait=N: answer when the jobs have ended, or after N seconds.",
)
_PAGE = (
    parameter("pageNumber", page_number(1), "page", "From 1; 0 is 1.", 1),
    parameter("pageSize", page_number(10, 100), "size", "10 by default, also for 0.", 10),
)

_BOOLEAN = one_of("true", "false", others={"1": "true", "0": "false"})
_DRY_RUN = parameter("dryRun", _BOOLEAN, "dry_run", "true: only count.", "false")
_IDEMPOTENCY_KEY = parameter(
    "Idempotency-Key",
    _KEY,
    "key",
    "The same key and body within a day give the same jobs; another body is 409.",
)
SUBMIT = Table(
    "",
    replace(_DRY_RUN, description="true: check the request, probe the source, and store nothing."),
    parameter("probe", _BOOLEAN, "probe", "false, with dryRun: check the request alone.", "true"),
)
SUBMIT_HEADERS = Table("", _IDEMPOTENCY_KEY, PREFER)
RETRY_HEADERS = Table("", _IDEMPOTENCY_KEY)
WAIT_HEADERS = Table("", PREFER)
EVENT_HEADERS = Table("", parameter("Last-Event-ID", EVENT_ID, "last", "The last event that came."))
EVENT_QUERY = Table("", parameter("lastEventId", EVENT_ID, "last", "The same, in the query."))
_OF_STATES = parameter("states", _STATES, "states", f"All, or a comma list of {', '.join(State)}.")
_CREATED = (
    parameter("startCreationTime", TIME, "start", "Not before, as 2026-03-01T10:20:30+0800."),
    parameter("endCreationTime", _END, "end", "Not after."),
)
_OF_BATCH = parameter(
    "batchId", matching(ids.BATCH, "{name} is not the id of a batch."), "batch", "Rows of this batch."
)
JOBS = Table(
    "",
    parameter("tag", _filter(TAG), "tag", f"{TAG}; there are no jobs with another tag.", required=True),
    parameter("queueId", QUERY_TEXT, "queue_id", "Jobs of this queue; outranks queueType."),
    parameter("queueType", _filter(QUEUE_TYPE), "queue_type", "Jobs of queues of this type.", QUEUE_TYPE),
    parameter("orderByTime", one_of("Desc", "Asc"), "order", "By creation time; Desc by default.", "Desc"),
    parameter("nextToken", _CURSOR, "cursor", "NextToken of the previous page."),
    parameter("size", page_number(10, 100), "size", "Jobs on a page; 10 by default, also for 0.", 10),
    _OF_STATES,
    *_CREATED,
    parameter("inputObject", QUERY_TEXT, "input_object", "Jobs with exactly this source key."),
    _OF_BATCH,
    parameter("workflowId", QUERY_TEXT, "others", "There are no workflows: an empty list."),
    parameter("inventoryTriggerJobId", QUERY_TEXT, "others", "There are no inventory triggers."),
)
_GO_ON = parameter("nextToken", _CURSOR, "cursor", "NextToken of the answer, where there is more to do.")
BULK_JOBS = Table(
    "",
    _OF_STATES,
    parameter("queueId", QUERY_TEXT, "queue_id", "Jobs of this queue."),
    parameter("level", integer(0, 2), "level", "Jobs of this JobLevel."),
    *_CREATED,
    parameter("inputPrefix", KEY, "prefix", "Jobs whose source key begins so.", ""),
    _OF_BATCH,
    _GO_ON,
    _DRY_RUN,
)
USAGE = Table(
    "",
    parameter("from", DAY, "first", "First day by UTC, as 2026-03-01; 30 days before the last by default."),
    parameter("to", DAY, "last", "Last day; today by default."),
    parameter("format", one_of("csv"), "format", "csv instead of JSON or XML."),
)
BATCHES = Table("", *_PAGE)
TEMPLATES = Table(
    "",
    parameter("tag", _filter(TAG, "All"), "tag", "All by default.", "All"),
    parameter(
        "category",
        one_of("Custom", "Official"),
        "category",
        "Custom by default; there are no official templates.",
        "Custom",
    ),
    parameter("ids", COMMA_LIST, "ids", "Comma list of ids; other parameters are then ignored.", ()),
    parameter("names", QUERY_TEXT, "name_prefix", "The same as name.", ""),
    parameter("name", QUERY_TEXT, "name_prefix", "Beginning of the name."),
    *_PAGE,
)
ASR_QUEUES = Table(
    "",
    parameter("queueIds", COMMA_LIST, "ids", "Comma list of ids.", ()),
    parameter("state", _QUEUE_STATES, "state", "All by default."),
    *_PAGE,
)
QUEUES = Table(
    "", *ASR_QUEUES.elements, parameter("category", QUERY_TEXT, "category", "CateAll, or Speeching.", "")
)
BUCKETS = Table(
    "",
    parameter("regions", COMMA_LIST, "regions", "Comma list of regions.", ()),
    parameter("bucketNames", COMMA_LIST, "names", "Comma list of names.", ()),
    parameter("bucketName", QUERY_TEXT, "name_part", "A part of the name.", ""),
    *_PAGE,
)
DEAD_LETTERS = Table(
    "",
    parameter("host", QUERY_TEXT, "host", "Host of the URL, or MqRegion/MqName."),
    parameter(
        "startTime",
        TIME,
        "since",
        "Failed for good since then, as 2026-03-01T10:20:30+0800; other states: ended since then.",
    ),
)
CALLBACKS = Table(
    "",
    parameter("states", _STATUSES, "statuses", "Dead by default; All, or a list.", frozenset({"dead"})),
    *DEAD_LETTERS.elements,
    *_PAGE,
)


BULK_CALLBACKS = Table("", *CALLBACKS.elements[:3], _DRY_RUN)
_SIGNATURE = frozenset({"sign", "additions", *FIELDS, *TOKEN_NAMES})


def read_strictly(table: Table, params: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the values of parameters; to ignore one would change more than is meant.

    Args:
        table: Table of the parameters.
        params: Names and values as they were given.

    Raises:
        RequestRefused: A parameter is unknown, empty, given twice or not valid; says which.
    """
    known = {row.name.lower(): row.name for row in table.elements}
    query: dict[str, str] = {}
    for name, value in params:
        lower = spelled_name(name)
        if lower in _SIGNATURE:
            continue
        if lower not in known:
            raise RequestRefused(f"{name} is not a parameter of this operation.")
        if not value.strip() or lower in query:
            raise RequestRefused(f"{known[lower]} must be given once, with a value, or left out.")
        query[lower] = value
    return table.read_parameters(query)


def ids_alone(query: Mapping[str, str]) -> Mapping[str, str]:
    """Return the query without its other parameters where it names ids."""
    return {"ids": query["ids"]} if split(query.get("ids", "")) else query


def id_list(text: str, of: str) -> tuple[str, ...]:
    """Return the ids of a path.

    Args:
        text: Ids joined by commas.
        of: What they are ids of, for the message.

    Raises:
        RequestRefused: There are none or more than ``MAX_IDS``.
    """
    ids = tuple(split(text))
    if not 1 <= len(ids) <= MAX_IDS:
        raise RequestRefused(f"One to {MAX_IDS} {of} ids are allowed.")
    return ids
