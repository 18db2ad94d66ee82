"""Element tables: one row describes everything about one element.

A table is one container of the wire (docs/wire/wire.md, 3 to 9). From its rows follow what is read from
requests (:meth:`Table.read`), what is written in answers and callbacks (:meth:`Table.write`), and the JSON
schema (:meth:`Table.schema`). A new element is a new row, and an attribute of the value that keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Flag, auto
from functools import cached_property
from typing import Any, Final, TypeAlias

from stemline.jobs.errors import RequestRefused
from stemline.wire.codec import Node, Tree
from stemline.wire.kinds import Kind, Schema

Writer: TypeAlias = Callable[[Any], "Node | None"]


class Document(Flag):
    """What an element appears in."""

    REQUEST = auto()
    XML_ANSWER = auto()
    EXTENDED_XML_ANSWER = auto()
    """An XML answer to a request that asks for the elements which the vendor does not have."""
    JSON_ANSWER = auto()
    XML_CALLBACK = auto()
    JSON_CALLBACK = auto()


NOWHERE: Final = Document(0)
REQUEST: Final = Document.REQUEST
ADDITION: Final = Document.EXTENDED_XML_ANSWER | Document.JSON_ANSWER
"""Answers that hold the elements which the vendor does not have: no vendor's XML parser meets them."""
ANSWER: Final = Document.XML_ANSWER | ADDITION
CALLBACK: Final = Document.XML_CALLBACK | Document.JSON_CALLBACK
SHOWN: Final = ANSWER | CALLBACK


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
    documents: Document = REQUEST | SHOWN
    required: str = ""
    """The refusal of a request without the element; empty where it is optional."""
    optional: bool = False
    """Whether answers and callbacks leave it out where its value is ``None`` or an empty list."""
    repeated: bool = False
    """Whether the value is a list, with one element for each item."""
    blank: bool = False
    """Whether an empty list is one empty element in an XML answer."""
    last_in: Document = NOWHERE
    """Documents in which it comes after the elements that are ordered by name."""
    default: Any = None
    """Value that is read where a request lacks it; ``None`` reads nothing."""
    description: str = ""

    def read(self, fields: Mapping[str, Any], into: dict[str, Any], *, partial: bool = False) -> None:
        """Read the element from the fields of its container and put its value in place.

        Raises:
            RequestRefused: It is missing, or not of its kind.
        """
        given = fields.get(self.name)
        if given is None and self.is_optional:
            return
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
            self._put(into, self._read_text(self.kind, given))

    def writer(self, document: Document) -> Writer:
        """Return what makes the content of the element.

        It takes the value of the attribute where there is one, else that of the container.
        """
        if self.attribute and isinstance(self.kind, Kind):
            return self.kind.write
        get = self._getter()
        write = self.kind.write if isinstance(self.kind, Kind) else self.kind.writer(document)
        if isinstance(self.kind, Table) and not self.repeated:
            return lambda value: None if (found := get(value)) is None else write(found)
        if not self.repeated:
            return lambda value: write(get(value))
        blank: Node = (
            "" if self.blank and document in Document.XML_ANSWER | Document.EXTENDED_XML_ANSWER else []
        )
        none = None if self.optional else blank
        return lambda value: [write(item) or "" for item in found] if (found := get(value)) else none

    def schema(self, document: Document) -> Schema:
        """Return the JSON schema of the content."""
        if isinstance(self.kind, Kind):
            one = self.kind.shown if document in SHOWN and self.kind.shown else self.kind.schema
        else:
            one = reference(self.kind.name) if self.kind.name else self.kind.schema(document)
        return {"type": "array", "items": one} if self.repeated else one

    def _read_text(self, kind: Kind, given: Any) -> Any:
        if not isinstance(given, str):
            raise RequestRefused(f"{self.name} must be a single text.")
        text = given.strip() if kind.strip else given
        try:
            if len(text) <= kind.most:
                return kind.read(text)
        except (ValueError, OverflowError):
            pass
        refusal = kind.refusal or f"{{name}} must be at most {kind.most} characters."
        raise RequestRefused(refusal.format(name=self.name)) from None

    def _put(self, into: dict[str, Any], value: Any) -> None:
        *parents, last = self._path
        for parent in parents:
            into = into.setdefault(parent, {})
        into[last] = value

    def _getter(self) -> Callable[[Any], Any]:
        if callable(self.source):
            return self.source
        path = self._path

        def get(value: Any) -> Any:
            for part in path:
                if value is None:
                    return None
                value = value.get(part) if isinstance(value, dict) else getattr(value, part)
            return value

        return get

    @cached_property
    def is_optional(self) -> bool:
        """Whether nothing is read where a request lacks it."""
        return not self.required and self.default is None

    @cached_property
    def attribute(self) -> str:
        """The attribute that a text is the value of, as most are; empty for everything else."""
        is_text = isinstance(self.kind, Kind) and not self.repeated
        return self._path[0] if is_text and len(self._path) == 1 else ""

    @cached_property
    def _path(self) -> list[str]:
        return self.source.split(".") if isinstance(self.source, str) and self.source else []


def addition(
    name: str, kind: Kind | Table, source: str | Callable[[Any], Any], description: str = ""
) -> Element:
    """Return an element that the vendor does not have: in answers with additions, where it has a value."""
    return Element(name, kind, source, documents=ADDITION, optional=True, description=description)


def parameter(
    name: str, kind: Kind, source: str, description: str, default: Any = None, *, required: bool = False
) -> Element:
    """Return a query parameter or a header."""
    refusal = f"{name} is missing." if required else ""
    return Element(name, kind, source, required=refusal, default=default, description=description)


class Table:
    """The elements of one container, in the order of answers and of the checks of requests."""

    def __init__(
        self,
        name: str,
        *elements: Element,
        build: Callable[..., Any] | None = None,
        by_name: Document = CALLBACK,
    ) -> None:
        """Make a table.

        Args:
            name: Name of its JSON schema; empty for a container that is described in place.
            elements: The rows.
            build: Makes the value from what was read; without it the value is a ``dict``.
            by_name: Documents in which the elements are ordered by name.
        """
        self.name = name
        self.elements = elements
        self.build = build
        self._rows = {document: _ordered(elements, document, by_name) for document in Document}
        self._read = [(row.name, row.is_optional, row) for row in self._rows[REQUEST]]
        # Writers are made once: an answer with a hundred jobs has thousands of elements.
        self._writers = {document: _writer(rows, document) for document, rows in self._rows.items()}

    def rows(self, document: Document) -> list[Element]:
        """Return the elements of a document in its order."""
        return self._rows[document]

    def read(
        self, fields: Mapping[str, Any], into: dict[str, Any] | None = None, *, partial: bool = False
    ) -> Any:
        """Return the value of the fields of a request.

        Args:
            fields: The parsed container.
            into: Where what is read goes; a new ``dict`` by default.
            partial: Whether required elements may be missing, as in an update.

        Raises:
            RequestRefused: An element is missing or not valid; says which.
        """
        values: dict[str, Any] = {} if into is None else into
        for name, is_optional, row in self._read:
            if not is_optional or fields.get(name) is not None:
                row.read(fields, values, partial=partial)
        return self.build(**values) if self.build else values

    def read_parameters(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of query parameters or headers, given by their names in lower case.

        Raises:
            RequestRefused: A parameter is missing or not valid; says which.
        """
        values: dict[str, Any] = self.read({row.name: given.get(row.name.lower()) for row in self.elements})
        return values

    def write(self, value: Any, document: Document) -> Tree:
        """Return the names and contents of a document for a value."""
        return self._writers[document](value)

    def writer(self, document: Document) -> Callable[[Any], Tree]:
        """Return what makes a document from a value."""
        return self._writers[document]

    def schema(self, document: Document, *, partial: bool = False) -> Schema:
        """Return the JSON schema of a document."""
        rows = self.rows(document)
        needed = [row.name for row in rows if (row.required if document in REQUEST else not row.optional)]
        properties = {row.name: row.schema(document) for row in rows}
        required = {"required": needed} if needed and not partial else {}
        return {"type": "object", "properties": properties, **required}

    def parameters(self, where: str = "query") -> list[Schema]:
        """Return the OpenAPI parameters of the table, in the ``query`` or the ``header`` of a request."""
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


def _ordered(elements: tuple[Element, ...], document: Document, by_name: Document) -> list[Element]:
    rows = [row for row in elements if document in row.documents]
    if document in by_name:
        rows.sort(key=lambda row: (True, "") if document in row.last_in else (False, row.name))
    return rows


def _writer(rows: list[Element], document: Document) -> Callable[[Any], Tree]:
    writers = [(row.name, row.attribute, row.writer(document)) for row in rows]

    def write(value: Any) -> Tree:
        tree: Tree = {}
        is_mapping = isinstance(value, dict)
        for name, attribute, writer in writers:
            if not attribute:
                content = writer(value)
            elif is_mapping:
                content = writer(value.get(attribute))
            else:
                content = writer(getattr(value, attribute))
            if content is not None:
                tree[name] = content
        return tree

    return write


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return the text of a field without white space around it; empty if the field is not a text."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def always(text: str) -> Callable[[Any], str]:
    """Return a source with a constant value."""
    return lambda _: text


def reference(name: str) -> Schema:
    """Return the reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}
