"""XML and JSON of requests, answers and callbacks (docs/wire/wire.md, 1.4).

Both forms are the same :data:`Tree`: element names to a text, to a further tree, or to a list of those where
an element is repeated. In a request, an element that is empty or white space counts as absent.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any, Final, TypeAlias

from lxml import etree

from stemline.jobs.errors import InvalidContent, MissingContent

Node: TypeAlias = "str | dict[str, Node] | list[Node]"
Tree: TypeAlias = dict[str, "Node"]

XML: Final = "application/xml"
JSON: Final = "application/json"

MAX_DEPTH: Final = 16
MAX_FIELDS: Final = 2000
_MAX_NUMBER_DIGITS = 32

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_PLAIN = re.compile("[^\t\n\r\x20-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, or must escape."""
_DECLARED = re.compile(r"""\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_MARKUP_DECLARATION = re.compile("<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_NO_DOCTYPE = "Document type declarations and entities are not allowed."
_TOO_DEEP = "The request body is nested too deeply."
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def parse(body: bytes, content_type: str, *, root: str = "Request") -> Tree:
    """Return the fields of a request body.

    Args:
        body: The body as received; a UTF-8 byte order mark at its beginning is left out.
        content_type: JSON if it says so, XML in every other case, because SDKs often send none.
        root: Name of the outermost element; in JSON it may be missing.

    Raises:
        MissingContent: There is no body.
        InvalidContent: It is not well-formed UTF-8 XML or JSON, or exceeds the limits on depth and fields.
    """
    body = body.removeprefix(BOM_UTF8)
    if not body.strip():
        raise MissingContent
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidContent("The request body is not UTF-8.") from None
    reader = _Reader()
    if content_type.partition(";")[0].strip().lower() == JSON:
        return reader.read_object(_json_object(text, root))
    top = _xml_element(text, body)
    if top.tag != root:
        raise InvalidContent(f"The root element of the request body is not {root}.")
    tree = reader.read_element(top)
    if isinstance(tree, str):
        raise InvalidContent(f"{root} holds text instead of elements.")
    return tree or {}


def to_xml(name: str, tree: Tree) -> bytes:
    """Return a tree as compact XML, without a declaration; a list repeats its element."""
    return _xml(name, tree).encode()


def to_json(tree: Tree) -> bytes:
    """Return a tree as compact JSON, without an outermost name."""
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _xml(name: str, node: Node) -> str:
    if isinstance(node, list):
        return "".join([_xml(name, item) for item in node])
    if not node:
        return f"<{name}/>"
    if isinstance(node, dict):
        return f"<{name}>{''.join([_xml(child, content) for child, content in node.items()])}</{name}>"
    if _NOT_PLAIN.search(node):
        # A character that XML cannot hold would make the whole body unreadable.
        node = _NOT_XML.sub("\ufffd", node).translate(_ESCAPES)
    return f"<{name}>{node}</{name}>"


def _xml_element(text: str, body: bytes) -> etree._Element:
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() not in _UTF8_NAMES:
        raise InvalidContent("The request body declares an encoding other than UTF-8.")
    if "\0" in text:  # UTF-16 or UTF-32, which a parser recognises without a declaration
        raise InvalidContent("The request body is not UTF-8.")
    if _MARKUP_DECLARATION.search(text):
        raise InvalidContent(_NO_DOCTYPE)
    parser = etree.XMLParser(
        encoding="utf-8",  # what was searched is what is parsed
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
        if reason.startswith("Excessive depth"):  # a limit of libxml2, beyond ours
            raise InvalidContent(_TOO_DEEP) from None
        raise InvalidContent(f"The request body is not well-formed XML: {reason}") from None
    if top.getroottree().docinfo.internalDTD is not None:
        raise InvalidContent(_NO_DOCTYPE)
    return top


def _json_object(text: str, root: str) -> dict[str, Any]:
    try:
        # Numbers stay the texts they are, so that none becomes a huge integer.
        tree = json.loads(
            text, object_pairs_hook=_object, parse_int=_digits, parse_float=_digits, parse_constant=_digits
        )
    except json.JSONDecodeError as error:
        reason = f"{error.msg.rstrip(': ')}, line {error.lineno}, column {error.colno}"
        raise InvalidContent(f"The request body is not well-formed JSON: {reason}") from None
    except RecursionError:
        raise InvalidContent(_TOO_DEEP) from None
    if not isinstance(tree, dict):
        raise InvalidContent("The request body is not a JSON object.")
    return tree[root] if set(tree) == {root} and isinstance(tree[root], dict) else tree


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of a repeated name, who looks at the body on its way may see the other value."""
    names = dict(pairs)
    if len(names) < len(pairs):
        raise InvalidContent("An object of the request body has a name twice.")
    return names


def _digits(text: str) -> str:
    if len(text) > _MAX_NUMBER_DIGITS:
        raise InvalidContent(f"A number has more than {_MAX_NUMBER_DIGITS} digits.")
    return text


class _Reader:
    """Turns one body into a tree; counts its fields."""

    def __init__(self) -> None:
        self._fields = 0

    def read_element(self, element: etree._Element, depth: int = 1) -> str | Tree | None:
        """Return the content of an XML element; ``None`` if it counts as absent."""
        self._count(depth)
        text = element.text or ""
        if not len(element):
            return text if text.strip() else None
        tree: Tree = {}
        for child in element:
            if text.strip() or (child.tail or "").strip():
                raise InvalidContent(f"{element.tag} mixes text and elements.")
            _put(tree, str(child.tag), self.read_element(child, depth + 1))
        return tree

    def read_object(self, fields: dict[str, Any], depth: int = 1) -> Tree:
        """Return the content of a JSON object."""
        self._count(depth)
        tree: Tree = {}
        for name, value in fields.items():
            for item in value if isinstance(value, list) else [value]:
                _put(tree, name, self._read_value(item, depth + 1))
        return tree

    def _read_value(self, value: Any, depth: int) -> str | Tree | None:
        if isinstance(value, dict):
            return self.read_object(value, depth)
        self._count(depth)
        if isinstance(value, list):
            raise InvalidContent("A list holds a list.")
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str) or not value.strip():
            return None
        if _NOT_XML.search(value):
            raise InvalidContent("A field holds characters that are not allowed.")
        return value

    def _count(self, depth: int) -> None:
        self._fields += 1
        if depth > MAX_DEPTH:
            raise InvalidContent(_TOO_DEEP)
        if self._fields > MAX_FIELDS:
            raise InvalidContent("The request body has too many fields.")


def _put(tree: Tree, name: str, value: str | Tree | None) -> None:
    """Add a child; a second one of the same name makes a list."""
    before = tree.get(name)
    if value is None:
        return
    if before is None:
        tree[name] = value
    elif isinstance(before, list):
        before.append(value)
    else:
        tree[name] = [before, value]
