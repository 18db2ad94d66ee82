"""Element tables: one row for each element says all there is to know about it.

A table follows one container of the wire (docs/wire/wire.md, 3 to 9). From its rows follow what is read from
requests (:meth:`Table.read`), what is written in answers and callbacks (:meth:`Table.write`), and the JSON
schema (:meth:`Table.schema`). A new element is a new row, and an attribute of the value that keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Flag, auto
from functools import cached_property
from typing import Any, Final

from stemline.jobs.errors import RequestRefused
from stemline.wire.codec import Node, Tree
from stemline.wire.kinds import Kind, Schema


class Document(Flag):
    """What an element appears in."""

    REQUEST = auto()
    XML_ANSWER = auto()
    JSON_ANSWER = auto()
    XML_CALLBACK = auto()
    JSON_CALLBACK = auto()


NOWHERE: Final = Document(0)
REQUEST: Final = Document.REQUEST
ANSWER: Final = Document.XML_ANSWER | Document.JSON_ANSWER
CALLBACK: Final = Document.XML_CALLBACK | Document.JSON_CALLBACK
SHOWN: Final = ANSWER | CALLBACK
EVERYWHERE: Final = REQUEST | SHOWN


@dataclass(frozen=True, eq=False)
class Element:
    """One row of a table."""

    name: str
    kind: Kind | Table
    source: str | Callable[[Any], Any] = ""
    """Where the value is: attributes joined by dots, or a function of the container's value.

    What a request gives is put under the same attributes. With an empty source, a container shares the value
    of its parent, and a text is described but not read.
    """
    _: KW_ONLY
    documents: Document = EVERYWHERE
    required: str = ""
    """What is answered to a request without the element; empty where it is optional."""
    optional: bool = False
    """Whether answers and callbacks may lack it: it is left out where its value is ``None`` or no items."""
    repeated: bool = False
    """Whether the value is a list, with one element for each item."""
    blank: bool = False
    """Whether no items at all are one empty element in an XML answer."""
    last_in: Document = NOWHERE
    """Documents in which it comes after the elements that are ordered by name."""
    default: Any = None
    """Value that is read where a request lacks it; ``None`` reads nothing."""
    description: str = ""

    def read(self, fields: Mapping[str, Any], into: dict[str, Any], *, partial: bool = False) -> None:
        """Read the element from the fields of its container and put its value in place.

        Raises:
            RequestRefused: it is missing, or not of its kind.
        """
        given = fields.get(self.name)
        required = "" if partial else self.required
        if isinstance(self.kind, Table):
            if given is None and not required:
                return
            if not isinstance(given or {}, dict):
                raise RequestRefused(f"{self.name} must be a single element with children.")
            if self.source:
                self._put(into, self.kind.read(given or {}, partial=partial))
            else:
                self.kind.read(given or {}, into, partial=partial)
        elif given is None or given == {}:
            if required:
                raise RequestRefused(required)
            if self.default is not None:
                self._put(into, self.default)
        elif self.source:
            self._put(into, self._value(self.kind, given))

    def write(self, value: Any, document: Document) -> Node | None:
        """Return the content of the element for the value of its container; ``None`` leaves it out."""
        found = self._get(value)
        if self.repeated:
            if found:
                return [self._content(item, document) or "" for item in found]
            return None if self.optional else "" if self.blank and document in Document.XML_ANSWER else []
        return self._content(found, document)

    def schema(self, document: Document) -> Schema:
        """Return the JSON schema of the content."""
        if isinstance(self.kind, Kind):
            one = self.kind.shown if document in SHOWN and self.kind.shown else self.kind.schema
        else:
            one = reference(self.kind.name) if self.kind.name else self.kind.schema(document)
        return {"type": "array", "items": one} if self.repeated else one

    def _value(self, kind: Kind, given: Any) -> Any:
        if not isinstance(given, str):
            raise RequestRefused(f"{self.name} must be a single text.")
        try:
            return kind.read(given.strip() if kind.strip else given)
        except (ValueError, OverflowError):
            raise RequestRefused(kind.refusal.format(name=self.name)) from None

    def _put(self, into: dict[str, Any], value: Any) -> None:
        *parents, last = str(self.source).split(".")
        for parent in parents:
            into = into.setdefault(parent, {})
        into[last] = value

    @cached_property
    def _path(self) -> tuple[str, ...]:
        return tuple(self.source.split(".")) if isinstance(self.source, str) and self.source else ()

    def _get(self, value: Any) -> Any:
        if callable(self.source):
            return self.source(value)
        for part in self._path:
            if value is None:
                return None
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, part)
        return value

    def _content(self, found: Any, document: Document) -> Node | None:
        if isinstance(self.kind, Kind):
            return self.kind.write(found)
        return None if found is None else self.kind.write(found, document)


@dataclass(frozen=True, eq=False)
class Table:
    """The elements of one container, in the order of answers and of the checks of requests."""

    name: str
    """Name of its JSON schema; empty for one that is described in place."""
    elements: tuple[Element, ...]
    build: Callable[..., Any] | None = None
    """Makes the value from what was read; without it the value is a ``dict``."""
    by_name: Document = CALLBACK
    """Documents in which the elements are ordered by name."""
    _rows: dict[Document, tuple[Element, ...]] = field(default_factory=dict, init=False, repr=False)

    def rows(self, document: Document) -> tuple[Element, ...]:
        """Return the elements of a document in its order."""
        if document not in self._rows:
            rows = [element for element in self.elements if document & element.documents]
            if document in self.by_name:
                rows.sort(key=lambda row: (True, "") if document in row.last_in else (False, row.name))
            self._rows[document] = tuple(rows)
        return self._rows[document]

    def read(
        self, fields: Mapping[str, Any], into: dict[str, Any] | None = None, *, partial: bool = False
    ) -> Any:
        """Read the fields of a request.

        Args:
            fields: the parsed container.
            into: where the values go; a new ``dict`` by default.
            partial: whether required elements may be missing, as in an update.

        Raises:
            RequestRefused: an element is missing or not valid; says which.
        """
        values: dict[str, Any] = {} if into is None else into
        for row in self.rows(REQUEST):
            row.read(fields, values, partial=partial)
        return self.build(**values) if self.build else values

    def read_query(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Read query parameters, whose names are compared without regard to case.

        Raises:
            RequestRefused: a parameter is missing or not valid; says which.
        """
        values: dict[str, Any] = self.read({row.name: query.get(row.name.lower()) for row in self.elements})
        return values

    def write(self, value: Any, document: Document) -> Tree:
        """Return the names and contents of a document for a value."""
        tree: Tree = {}
        for row in self.rows(document):
            content = row.write(value, document)
            if content is not None:
                tree[row.name] = content
        return tree

    def schema(self, document: Document, *, partial: bool = False) -> Schema:
        """Return the JSON schema of a document."""
        rows = self.rows(document)
        needed = [r.name for r in rows if (r.required if document in REQUEST else not r.optional)]
        properties = {row.name: row.schema(document) for row in rows}
        required = {"required": needed} if needed and not partial else {}
        return {"type": "object", "properties": properties, **required}

    def parameters(self, where: str = "query") -> list[Schema]:
        """Return the OpenAPI parameters, of a query or of ``header``."""
        return [
            {
                "name": row.name,
                "in": where,
                "required": bool(row.required),
                "schema": row.kind.parameter or row.kind.schema,
                "description": row.description,
            }
            for row in self.elements
            if isinstance(row.kind, Kind)
        ]


def word(fields: Mapping[str, Any], name: str) -> str:
    """Return the text of a field without white space around it; empty if the field is not a text."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def always(text: str) -> Callable[[Any], str]:
    """Return a source with a constant value."""
    return lambda _: text


def reference(name: str) -> Schema:
    """Return the reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}
