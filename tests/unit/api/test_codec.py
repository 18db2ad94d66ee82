"""Bodies in XML and JSON: equal meaning both ways, and nothing hostile gets through."""

from __future__ import annotations

import json
import random
import time
from codecs import BOM_UTF8
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.jobs.errors import InvalidContent, MissingContent, StemlineError
from stemline.wire.codec import JSON, MAX_FIELDS, Tree, parse, to_json, to_xml
from stemline.wire.errors import code_of
from tests.support.rounds import rounds


def test_xml_fields() -> None:
    """Texts, containers and repeated siblings arrive as such; comments and instructions are ignored."""
    body = (
        b'<?xml version="1.0" encoding="utf-8"?>\n<Request><?pi x?><Tag>Voice<!-- no -->Separate</Tag>\n'
        b"<Input><Object> a&amp;b \xe9\x9f\xb3</Object></Input><X>1</X><X>2</X><Y a='1'><![CDATA[<z>]]></Y>"
        b"</Request>"
    )
    expected = {"Tag": "VoiceSeparate", "Input": {"Object": " a&b 音"}, "X": ["1", "2"], "Y": "<z>"}
    assert expected == parse(body, "")


@pytest.mark.shows("bodies without Content-Type, empty elements, Content-MD5")
def test_empty_is_absent() -> None:
    """Go sends every AudioConfig child, mostly empty: an empty or blank element counts as absent."""
    body = b"<Request><A/><B></B><C> \n</C><D><E/></D></Request>"
    assert {"D": {}} == parse(body, "application/xml")


@pytest.mark.parametrize(
    "body",
    [
        '{"Tag": "a", "Tag": "b"}',
        '{"Request": {"Tag": "a"}, "Request": {"Tag": "b"}}',
        '{"Operation": [{"Output": {"Bucket": "a", "Bucket": "a"}}]}',
        '{"Tag": "a", "T\\u0061g": "b"}',
        '{"Tag": "", "Tag": "b"}',
    ],
)
def test_no_json_name_counts_twice(body: str) -> None:
    """Of two values of one name none is chosen: in XML two elements are a list, which no single text is."""
    with pytest.raises(InvalidContent, match="twice"):
        parse(body.encode(), JSON)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_fields(kind: str) -> None:
    """JSON gives the same fields; numbers become texts, the outermost name may be there or not."""
    body = {
        "Tag": "V",
        "Op": {"Level": 1, "Rate": 1.5, "No": None, "Empty": "", "Yes": True},
        "X": ["1", "2"],
    }
    expected = {"Tag": "V", "Op": {"Level": "1", "Rate": "1.5", "Yes": "true"}, "X": ["1", "2"]}
    assert expected == parse(json.dumps(body).encode(), kind)
    assert expected == parse(json.dumps({"Request": body}).encode(), kind)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<Request><Tag>\xe9\x9f\xb3</Tag></Request>", ""), ('{"Tag":"音"}'.encode(), JSON)]
)
def test_byte_order_mark(body: bytes, kind: str) -> None:
    """Windows writes a mark before UTF-8: it is no part of the body, in XML and in JSON."""
    assert {"Tag": "音"} == parse(BOM_UTF8 + body, kind)


@pytest.mark.parametrize("body", [b"", b" \n", BOM_UTF8, BOM_UTF8 + b"\r\n"])
def test_missing(body: bytes) -> None:
    """No body has a code of its own."""
    with pytest.raises(MissingContent):
        parse(body, "")


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(12)
)
HOSTILE = {
    "not XML": b"hello",
    "cut": b"<Request><Tag>",
    "two roots": b"<Request/><Request/>",
    "wrong root": b"<request/>",
    "namespace": b'<Request xmlns="urn:x"><Tag>a</Tag></Request>',
    "text in the root": b"<Request>x</Request>",
    "mixed": b"<Request>x<Tag>a</Tag></Request>",
    "entity bomb": BOMB + b"]><Request>&m;</Request>",
    "external entity": b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Request><Tag>&x;</Tag></Request>',
    "external subset": b'<!doctype r SYSTEM "http://127.0.0.1:9/x"><Request/>',
    "undefined entity": b"<Request>&x;</Request>",
    "NUL": b"<Request><Tag>\0</Tag></Request>",
    "control character": b"<Request><Tag>&#1;</Tag></Request>",
    "not UTF-8": b"<Request><Tag>\xff</Tag></Request>",
    "UTF-16": '<?xml version="1.0" encoding="utf-16"?><Request/>'.encode("utf-16"),
    **{
        f"{encoding}, {kind}": text.encode(encoding)
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
        for kind, text in {
            "plain": "<Request><Tag>a</Tag></Request>",
            "doctype": "<!DOCTYPE r [<!ENTITY x 'y'>]><Request><Tag>&x;</Tag></Request>",
            "declared": f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r><Request/>',
        }.items()
    },
    "mark and UTF-16": '\ufeff<?xml version="1.0" encoding="utf-16"?><!DOCTYPE r><Request/>'.encode(),
    "UTF-7": b'<?xml version="1.0" encoding="utf-7"?><Request>+ADw-</Request>',
    "latin-1": b'<?xml version="1.0" encoding="iso-8859-1"?><Request><Tag>a</Tag></Request>',
    "deep": b"<Request>" + b"<a>" * 100 + b"</a>" * 100 + b"</Request>",
    "very deep": b"<Request>" + b"<a>" * 100_000,
    "many fields": b"<Request>" + b"<a>1</a>" * 10_000 + b"</Request>",
    "many attributes": b"<Request " + b" ".join(b'a%d=""' % i for i in range(10_000)) + b"><",
}
HOSTILE_JSON = {
    "cut": b'{"a":',
    "list": b"[]",
    "text": b'"a"',
    "deep": b'{"a":' * 100 + b"1" + b"}" * 100,
    "very deep": b"[" * 100_000,
    "marks": BOM_UTF8 * 2 + b'{"a":"b"}',
    "escape": b'{"a":"\\x"}',
    "list of lists": b'{"a":[[1]]}',
    "NUL": b'{"a":"\\u0000"}',
    "surrogate": b'{"a":"\\ud800"}',
    "huge number": b'{"a":' + b"9" * 100_000 + b"}",
    "many fields": json.dumps({str(i): "x" for i in range(10_000)}).encode(),
    "not UTF-8": b'{"a":"\xff"}',
}


NOT_UTF8 = "is not UTF-8"
REFUSALS = {
    "wrong root": "is not Request",
    "namespace": "is not Request",
    "text in the root": "Request holds text instead of elements",
    "mixed": "Request mixes text and elements",
    "entity bomb": "declarations and entities are not allowed",
    "external entity": "declarations and entities are not allowed",
    "external subset": "declarations and entities are not allowed",
    "NUL": NOT_UTF8,
    "not UTF-8": NOT_UTF8,
    "UTF-16": NOT_UTF8,
    "mark and UTF-16": "declares an encoding other than UTF-8",
    "UTF-7": "declares an encoding other than UTF-8",
    "latin-1": "declares an encoding other than UTF-8",
    "deep": "nested too deeply",
    "very deep": "nested too deeply",
    "many fields": "too many fields",
}
"""What is said of a body; of those of `utf-…` that they are not UTF-8, of the rest what lxml says."""
REFUSALS_JSON = {
    "list": "is not a JSON object",
    "text": "is not a JSON object",
    "deep": "nested too deeply",
    "very deep": "nested too deeply",
    "cut": "not well-formed JSON: Expecting value, line 1, column 6",
    "marks": "not well-formed JSON: Unexpected UTF-8 BOM",
    "escape": "not well-formed JSON: Invalid .escape, line 1, column 7",
    "huge number": "A number has more than 32 digits",
    "list of lists": "A list holds a list",
    "NUL": "characters that are not allowed",
    "surrogate": "characters that are not allowed",
    "many fields": "too many fields",
    "not UTF-8": NOT_UTF8,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml(name: str) -> None:
    """Each kind of bad XML is refused at once as InvalidContent, and the message says what is wrong."""
    words = REFUSALS.get(name, NOT_UTF8 if name.startswith("utf-") else "is not well-formed XML")
    began = time.process_time()
    with pytest.raises(InvalidContent, match=words):
        parse(HOSTILE[name], "application/xml")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", HOSTILE_JSON)
def test_hostile_json(name: str) -> None:
    """Each kind of bad JSON is refused at once as InvalidContent, and the message says what is wrong."""
    began = time.process_time()
    with pytest.raises(InvalidContent, match=REFUSALS_JSON.get(name, "is not well-formed JSON")):
        parse(HOSTILE_JSON[name], JSON)
    assert time.process_time() - began < 1


def test_field_limit_is_generous() -> None:
    """A request with as many fields as are allowed passes."""
    body = b"<Request>" + b"<a>1</a>" * (MAX_FIELDS - 1) + b"</Request>"
    assert MAX_FIELDS - 1 == len(parse(body, "")["a"])


def test_xml_answer() -> None:
    """Answers are compact: no indentation, the standard escapes, empty elements closed at once."""
    tree: Tree = {
        "JobsDetail": [{"Message": "", "A": "<&>\"'"}, {}],
        "NextToken": "",
        "None": [],
        "C": {"D": {}},
    }
    expected = (
        b"<Response><JobsDetail><Message/><A>&lt;&amp;&gt;\"'</A></JobsDetail><JobsDetail/><NextToken/>"
        b"<C><D/></C></Response>"
    )
    assert expected == to_xml("Response", tree)


def test_json_answer() -> None:
    """In JSON lists stay lists, also with one entry."""
    tree: Tree = {"JobsDetail": [{"Message": "", "Level": "1"}], "Nothing": []}
    assert b'{"JobsDetail":[{"Message":"","Level":"1"}],"Nothing":[]}' == to_json(tree)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    min_size=1,
).filter(lambda text: bool(text.strip()))
TREES = st.recursive(
    TEXTS | st.lists(TEXTS, min_size=2, max_size=4),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    max_leaves=12,
)


@settings(max_examples=rounds(50, 1000), deadline=None)
@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=5))
def test_round_trip(tree: dict[str, Any]) -> None:
    """What is written as XML or JSON reads back as the same fields."""
    assert tree == parse(to_xml("Request", tree), "application/xml")
    assert tree == parse(to_json({"Request": tree}), "application/json")


def test_fuzz() -> None:
    """Ten thousand damaged bodies (seeded) parse or are refused, both often; nothing else happens."""
    seeds = [
        *HOSTILE.values(),
        *HOSTILE_JSON.values(),
    ]
    seeds = [seed[:2000] for seed in seeds]
    good: Tree = {"Tag": "VoiceSeparate", "Input": {"Object": "in/song.mp3"}, "UserData": "order 17 " * 20}
    # As many good ones as hostile ones, so that much of what is damaged still reads.
    seeds += [to_xml("Request", good), to_json({"Request": good})] * (len(seeds) // 2)
    chance = random.Random(20261123)
    tokens = [
        b"<",
        b">",
        b"&",
        b"]]>",
        b"<!--",
        b"<!DOCTYPE",
        b"\0",
        b"\xff",
        b"{",
        b'"',
        b"</Request>",
        b"<?",
        b"&#x0;",
    ]
    seen: Counter[str] = Counter()
    for _ in range(10_000):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(body) + 1)
            choice = chance.randrange(6)
            if choice == 0:
                body[at:at] = chance.choice(tokens)
            elif choice == 1:
                del body[at : at + chance.randint(1, 20)]
            elif choice == 2:
                body[at:at] = chance.randbytes(3)
            else:
                body[at : at + 1] = chance.choice(b"abcXYZ019 ").to_bytes()
        try:
            assert isinstance(parse(bytes(body), JSON if body[:1] in b"{[" else ""), dict)
            seen["parsed"] += 1
        except StemlineError as error:
            seen[code_of(error)] += 1
    assert {"parsed", "InvalidContent"} <= set(seen) <= {"parsed", "InvalidContent", "MissingContent"}
    assert min(seen["parsed"], seen["InvalidContent"]) > 100
