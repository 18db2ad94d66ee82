"""Request bodies and answers in XML and JSON (docs/wire/wire.md, 1.4).

Both forms of a body become the same nested ``dict``: element names to text, to a further ``dict``, or to a
list of those where siblings repeat. An element that is empty or white space counts as absent.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

from lxml import etree

from stemline.jobs.errors import InvalidContent, MissingContent

Node: TypeAlias = "str | dict[str, Node] | list[Node]"
Fields: TypeAlias = dict[str, "Node"]

XML = "application/xml"
JSON = "application/json"

MAX_DEPTH = 16
MAX_FIELDS = 2000
MAX_NUMBER_DIGITS = 32

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_UTF8_NAMES = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_MARKUP_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)


def parse(body: bytes, content_type: str, *, root: str = "Request") -> Fields:
    """The fields of a request body.

    Args:
        body: as received.
        content_type: JSON if it says so, XML in every other case (SDKs often send none).
        root: name of the outermost element; in JSON it may be left out.

    Raises:
        MissingContent: there is no body.
        InvalidContent: it is not well-formed UTF-8 XML or JSON, or breaks the limits on depth and fields.
    """
    if not body.strip():
        raise MissingContent
    fields = _Fields()
    if content_type.partition(";")[0].strip().lower() == JSON:
        return fields.of_json(body, root)
    return fields.of_xml(body, root)


def to_xml(name: str, tree: dict[str, Any]) -> bytes:
    """An answer in compact XML: no indentation, no attributes, no declaration.

    ``None`` and empty texts become empty elements, lists repeat their element.
    """
    parts: list[str] = []
    _write(parts, name, tree)
    return "".join(parts).encode()


def to_json(tree: dict[str, Any]) -> bytes:
    """The same answer in JSON: no outermost name, lists as lists, every scalar a string."""
    return json.dumps(_plain(tree), ensure_ascii=False, separators=(",", ":")).encode()


def escape(text: str) -> str:
    """Character data; what XML cannot hold becomes U+FFFD."""
    text = _NOT_XML.sub("\ufffd", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Fields:
    """One body on its way to a ``dict``; counts what it meets."""

    def __init__(self) -> None:
        self.count = 0

    def of_xml(self, body: bytes, root: str) -> Fields:
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidContent("The request body is not UTF-8.") from None
        declared = _DECLARED.match(body)
        if declared and declared[1].lower() not in _UTF8_NAMES:
            raise InvalidContent("The request body declares an encoding other than UTF-8.")
        if _MARKUP_DECLARATION.search(body):
            raise InvalidContent("Document type declarations and entities are not allowed.")
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            top = etree.fromstring(body, parser)
        except etree.XMLSyntaxError as error:
            reason = " ".join((error.msg or "").split())
            raise InvalidContent(f"The request body is not well-formed XML: {reason}") from None
        if top.tag != root:
            raise InvalidContent(f"The root element of the request body is not {root}.")
        node = self._element(top, 1)
        if isinstance(node, str):
            raise InvalidContent(f"{root} holds text instead of elements.")
        return node or {}

    def _element(self, element: etree._Element, depth: int) -> str | Fields | None:
        self._admit(depth)
        text = element.text or ""
        if not len(element):
            return text if text.strip() else None
        children: Fields = {}
        for child in element:
            if text.strip() or (child.tail or "").strip():
                raise InvalidContent(f"{element.tag} mixes text and elements.")
            self._put(children, str(child.tag), self._element(child, depth + 1))
        return children

    def of_json(self, body: bytes, root: str) -> Fields:
        try:
            text = body.decode("utf-8")
            tree = json.loads(text, parse_int=_digits, parse_float=_digits, parse_constant=_digits)
        except UnicodeDecodeError:
            raise InvalidContent("The request body is not UTF-8.") from None
        except (ValueError, RecursionError):
            raise InvalidContent("The request body is not well-formed JSON.") from None
        if not isinstance(tree, dict):
            raise InvalidContent("The request body is not a JSON object.")
        if set(tree) == {root} and isinstance(tree[root], dict):
            tree = tree[root]
        return self._object(tree, 1)

    def _object(self, tree: dict[str, Any], depth: int) -> Fields:
        self._admit(depth)
        children: Fields = {}
        for name, value in tree.items():
            for item in value if isinstance(value, list) else [value]:
                self._put(children, name, self._value(item, depth + 1))
        return children

    def _value(self, value: Any, depth: int) -> str | Fields | None:
        if isinstance(value, dict):
            return self._object(value, depth)
        self._admit(depth)
        if isinstance(value, list):
            raise InvalidContent("A list holds a list.")
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str) or not value.strip():
            return None
        if _NOT_XML.search(value):
            raise InvalidContent("A field holds characters that are not allowed.")
        return value

    def _put(self, children: Fields, name: str, value: str | Fields | None) -> None:
        if value is None:
            return
        before = children.get(name)
        if before is None:
            children[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            children[name] = [before, value]

    def _admit(self, depth: int) -> None:
        self.count += 1
        if depth > MAX_DEPTH:
            raise InvalidContent("The request body is nested too deeply.")
        if self.count > MAX_FIELDS:
            raise InvalidContent("The request body has too many fields.")


def _digits(text: str) -> str:
    """A JSON number as the text it was; never a huge integer."""
    if len(text) > MAX_NUMBER_DIGITS:
        raise ValueError(text)
    return text


def _write(parts: list[str], name: str, value: Any) -> None:
    if isinstance(value, dict) and value:
        parts.append(f"<{name}>")
        for child, content in value.items():
            _write(parts, child, content)
        parts.append(f"</{name}>")
    elif isinstance(value, list):
        for item in value:
            _write(parts, name, item)
    else:
        text = "" if value is None or value == {} else escape(str(value))
        parts.append(f"<{name}>{text}</{name}>" if text else f"<{name}/>")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return "" if value is None else str(value)
