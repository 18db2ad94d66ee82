"""Query parameters of the console's list."""

from __future__ import annotations

from stemline.jobs.states import State
from stemline.wire.elements import Element, Table
from stemline.wire.kinds import TEXT, integer, matching, one_of, page_number

_MICROSECONDS = matching("^[0-9]{1,16}$", "{name} must be µs since the epoch.")
_TIME = type(_MICROSECONDS)(lambda text: int(_MICROSECONDS.read(text)), _MICROSECONDS.refusal)
_IDS = matching("^j[0-9a-f]{32}(,j[0-9a-f]{32}){0,99}$", "{name} must be 1 to 100 ids of jobs.")
_SHORT = matching("^.{0,200}$", "{name} may have 200 characters.", strip=True)

BROWSE = Table(
    "",
    Element("state", one_of(*State, make=State), "state"),
    Element("offset", integer(0, 99_999_999), "offset", default=0),
    Element("size", page_number(50, 200), "size", default=50),
    Element("text", _SHORT, "text"),
    Element("queueId", TEXT, "queue_id"),
    Element("batchId", TEXT, "batch"),
    Element("from", _TIME, "start"),
    Element("to", _TIME, "end"),
    Element("cursor", _MICROSECONDS, "cursor"),
    Element("ids", _IDS, "ids"),
)
"""Jobs by their place; with ``ids`` these jobs, as far as they exist;
with ``text``, ``queueId``, ``batchId``, ``from``, ``to`` or ``cursor`` a search."""
