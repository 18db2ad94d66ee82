"""Request signatures against the published vectors, the recordings, and everything that must be refused."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.api.credentials import Principal
from stemline.jobs.errors import (
    ExpiredToken,
    Forbidden,
    InvalidAccessKeyId,
    RequestExpired,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from stemline.jobs.policy import Policy
from stemline.wire.authorization import Authorization
from stemline.wire.errors import code_of
from stemline.wire.http_string import http_strings
from stemline.wire.signature import sign, verify
from stemline.wire.signed_request import SignedRequest
from stemline.wire.spelling import encode, spelled
from tests.support.recordings import recordings
from tests.support.rounds import rounds

SECRET_ID = "AKIDexampleexampleexampleexample0001"
SECRET_KEY = "exampleSecretKey0123456789abcdef"
NOW = 1700000060
H = "media-1250000000.ci.ap-chongqing.myqcloud.com"
JOB = "/jobs/j0123456789abcdef0123456789abcdef"
LONG, HOUR, SHORT = "1700000000;1700010060", "1700000000;1700003600", "1700000000;1700000660"


def key(**changes: object) -> Principal:
    return dataclasses.replace(Principal(SECRET_ID, SECRET_KEY, Policy()), **changes)  # type: ignore[arg-type]


def lookup(secret_id: str) -> Principal | None:
    return key() if secret_id == SECRET_ID else None


def authorization(times: str, headers: str, params: str, signature: str, secret_id: str = SECRET_ID) -> str:
    return (
        f"q-sign-algorithm=sha1&q-ak={secret_id}&q-sign-time={times}&q-key-time={times}"
        f"&q-header-list={headers}&q-url-param-list={params}&q-signature={signature}"
    )


def request(method: str, target: str, headers: dict[str, str], auth: str = "") -> SignedRequest:
    pairs = [(name, value.encode()) for name, value in headers.items()]
    if auth:
        pairs.append(("authorization", auth.encode()))
    return SignedRequest.of(method, target, pairs)


LIST_TARGET = (
    "/jobs?tag=VoiceSeparate&orderByTime=Desc&states=Success%2CFailed&size=10&nextToken="
    "&startCreationTime=2024-01-01T00%3A00%3A00%2B0800"
)
LIST_NAMES = "nexttoken;orderbytime;size;startcreationtime;states;tag"
XML = "application/xml"
VECTORS = {
    "V1": (
        request(
            "POST",
            "/jobs",
            {"content-type": XML, "content-length": "331", "host": H},
            authorization(
                LONG, "content-length;content-type;host", "", "7148882052a7cf3cfe52e2c02375cc571fe1d314"
            ),
        ),
        "f19e85737538fa7794f38fadc49551358191445f",
    ),
    "V2": (
        request(
            "GET",
            LIST_TARGET,
            {"host": H, "x-ci-security-token": "tmp/Token+1=="},
            authorization(
                LONG, "host;x-ci-security-token", LIST_NAMES, "d6ac05e5c544f9d3c544edd10f92becf2550c153"
            ),
        ),
        "5532d7d0aa8c079bc4edbd6ae8b816e5b7ef7c19",
    ),
    "V3": (
        request(
            "PUT",
            f"{JOB}?cancel",
            {"content-length": "0", "host": H},
            authorization(LONG, "content-length;host", "", "3f3e144343751b521be8c1d2715bdc7a1c8dbcbb"),
        ),
        "152a6d9e178fa1fed650e216e17e4e51fb7c0714",
    ),
    "V4": (
        request(
            "GET",
            "/jobs?tag=VoiceSeparate&inputObject=in%2Fmy+song%2B%C3%A9.mp3&nextToken=",
            {"host": H},
            authorization(
                LONG, "host", "inputobject;nexttoken;tag", "da393a235010967dd46e8f773a383e6121234900"
            ),
        ),
        "1a298f7d4f3785160d7023dd02e398466ef0dc36",
    ),
    "V5": (
        request(
            "GET",
            f"/jobs?q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time=1700000000%3B1700000660"
            "&q-key-time=1700000000%3B1700000660&q-header-list=host&q-url-param-list=size%3Btag"
            "&q-signature=30a5f06610de2fadbd2f8a83d8d852b96de2888e&tag=VoiceSeparate&size=5",
            {"host": H},
        ),
        "52331753d7c1c09c684e0bca6d06c29fd6399de5",
    ),
    "V6": (
        request(
            "PUT",
            f"{JOB}?cancel=",
            {"content-length": "0", "host": f"{H}:8080"},
            authorization(HOUR, "content-length;host", "cancel", "85eb980659bd15e559c9843865ac01c5e5e4f82f"),
        ),
        "6b06ae4d41dfcc52a8f16898ad91e262b33293fa",
    ),
    "V7": (
        request(
            "PUT",
            "/queue/p2242ab62c7c94486915508540933a2c6",
            {
                "content-length": "106",
                "content-md5": "FsI7INB3nBiKqgvknoSMFQ==",
                "content-type": XML,
                "host": H,
            },
            authorization(
                HOUR,
                "content-length;content-md5;content-type;host",
                "",
                "546398e67dc03a50a795b6c4b63322ad553fd4e4",
            ),
        ),
        "b87eafa23f5ea0dc6e675f90f8c1c6f82d4a56e6",
    ),
    "V8": (
        request(
            "GET", JOB, {"host": H}, authorization(LONG, "", "", "60da66ffdee20b01fe722144ae33759a1d06d733")
        ),
        "ea5bec2b3cb852c47681e9a4baf928c47dcccdaa",
    ),
}
V1 = VECTORS["V1"][0]


def check(signed: SignedRequest, now: float = NOW) -> Principal | None:
    return verify(signed, lookup, now=now)


def changed(signed: SignedRequest, old: str, new: str) -> SignedRequest:
    """The same request with a part of its Authorization replaced."""
    value = signed.header("authorization")
    assert old in value
    headers = [(n, v) for n, v in signed.headers if n != "authorization"]
    headers.append(("authorization", value.replace(old, new).encode()))
    return dataclasses.replace(signed, headers=headers)


@pytest.mark.shows("vectors V0 to V8")
def test_published_vector() -> None:
    """The vendor's own published example (V0) verifies, and the signer reproduces it."""
    headers = {
        "date": "Thu, 16 May 2019 06:45:51 GMT",
        "host": "examplebucket-1250000000.cos.ap-beijing.myqcloud.com",
        "content-type": "text/plain",
        "content-length": "13",
        "content-md5": "mQ/fVh815F3k6TAUm8m0eg==",
        "x-cos-acl": "private",
        "x-cos-grant-read": 'uin="100000000011"',
    }
    unsigned = request("PUT", f"/{quote('exampleobject(腾讯云)')}", headers)
    secret = "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz"
    made = sign(
        unsigned,
        secret_id="AKIDexample",
        secret_key=secret,
        start=1557989151,
        end=1557996351,
        headers=headers,
    )
    assert made.endswith("q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172")
    principal = Principal("AKIDexample", secret, Policy())
    signed = dataclasses.replace(unsigned, headers=[*unsigned.headers, ("authorization", made.encode())])
    assert principal == verify(signed, lambda _: principal, now=1557989200)


@pytest.mark.shows("vectors V0 to V8", "host with or without port, any case")
@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    """Each vector of the specification verifies, and its canonical text has the printed digest."""
    signed, digest = VECTORS[name]
    carried = signed.authorization
    assert carried is not None
    digests = [hashlib.sha1(text.encode()).hexdigest() for text in http_strings(signed, carried)]
    assert digest in digests
    assert key() == check(signed)


@pytest.mark.parametrize("name", sorted(VECTORS.keys() - {"V5"}))  # V5 is in the URL
def test_signing(name: str) -> None:
    """Signing makes the header of each vector, to the digit."""
    signed, _ = VECTORS[name]
    carried = signed.authorization
    start, end = carried.spans[0]
    made = sign(
        signed,
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        start=start,
        end=end,
        headers=carried.header_list,
        params=[parameter for parameter, _ in signed.params if parameter.lower() in carried.param_list],
    )
    assert signed.header("authorization") == made


@pytest.mark.shows("header, q-… parameters, sign parameter")
def test_sign_parameter() -> None:
    """The form of PHP and iOS works: the whole header value in one ``sign`` parameter."""
    signed, _ = VECTORS["V8"]
    value = signed.header("authorization")
    assert key() == check(request("GET", f"{JOB}?sign={quote(value, safe='')}", {"host": H}))


@pytest.mark.shows("header, q-… parameters, sign parameter")
def test_header_outranks_url() -> None:
    """When header and URL both carry a signature, the header's counts."""
    signed, _ = VECTORS["V8"]
    good = signed.header("authorization")
    both = request(
        "GET", f"{JOB}?sign={quote(good.replace('q-signature=6', 'q-signature=7'))}", {"host": H}, good
    )
    assert key() == check(both)


def test_double_encoded_list_item() -> None:
    """A parameter name with a space is signed as ``a%20b`` and listed in the URL as ``a%2520b``."""
    unsigned = request("GET", "/jobs?a+b=1", {"host": H})
    value = sign(unsigned, secret_id=SECRET_ID, secret_key=SECRET_KEY, start=NOW, end=NOW + 60)
    assert "q-url-param-list=a%20b&" in value
    query = "&".join(f"{n}={quote(v, safe='')}" for n, _, v in (p.partition("=") for p in value.split("&")))
    assert "a%2520b" in query
    assert key() == check(request("GET", f"/jobs?a+b=1&{query}", {"host": H}))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("7148882052", "7148882053", SignatureDoesNotMatch),
        ("content-length;content-type;host", "content-length;content-type;date;host", SignatureDoesNotMatch),
        ("q-url-param-list=", "q-url-param-list=missing", SignatureDoesNotMatch),
        (SECRET_ID, "AKIDsomebodyelse", InvalidAccessKeyId),
        ("q-sign-algorithm=sha1", "q-sign-algorithm=sha256", Forbidden),
        ("q-sign-algorithm=sha1&", "", Forbidden),
        (f"q-sign-time={LONG}", "q-sign-time=abc", Forbidden),
        (f"q-sign-time={LONG}", "q-sign-time=1;99999999999999", Forbidden),
        (f"q-sign-time={LONG}", f"q-sign-time={LONG}&q-sign-time={LONG}", Forbidden),
        ("7148882052", "714888205", Forbidden),
        ("7148882052", "714888205Z", Forbidden),
        ("7148882052", "714888205A", Forbidden),
        (f"q-key-time={LONG}", "q-key-time=1600000000;1600000001", RequestExpired),
        (f"q-sign-time={LONG}", "q-sign-time=1600000000;1600000001", RequestExpired),
        (f"q-sign-time={LONG}", "q-sign-time=1800000000;1800000001", RequestTimeTooSkewed),
        (f"q-sign-time={LONG}", "q-sign-time=1700010060;1700010060", RequestTimeTooSkewed),
        (f"q-sign-time={LONG}", f"q-sign-time={NOW};{NOW}", RequestTimeTooSkewed),
    ],
)
def test_refused(old: str, new: str, error: type[Forbidden]) -> None:
    """Each fault of a signature has its documented code."""
    with pytest.raises(Forbidden) as refused:
        check(changed(V1, old, new))
    assert error is type(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("q-sign-algorithm=sha1&", "", "The signature lacks q-sign-algorithm."),
        ("q-ak=", "q-ak=&q-ak=", "The signature has a field twice."),
        ("algorithm=sha1", "algorithm=sha256", "The signature's algorithm is not sha1."),
        ("7148882052", "714888205Z", "q-signature is not 40 lower-case hexadecimal digits."),
        (f"q-key-time={LONG}", "q-key-time=abc", "The signature's time is not start;end in Unix seconds."),
        ("host&", "date%20x;host&", "The request lacks 'date x', which its signature lists."),
    ],
)
def test_a_refusal_says_what_is_wrong(old: str, new: str, message: str) -> None:
    """The message of a refused signature names the fault."""
    with pytest.raises(Forbidden) as refused:
        check(changed(V1, old, new))
    assert message == refused.value.message


def test_a_secret_id_may_hold_an_equals_sign() -> None:
    """Name and value of a field are separated by its first ``=``."""
    found = changed(V1, SECRET_ID, "a=b").authorization
    assert found is not None
    assert "a=b" == found.secret_id


def test_other_method() -> None:
    """A signature for POST does not serve for PUT."""
    with pytest.raises(SignatureDoesNotMatch):
        check(dataclasses.replace(V1, method="PUT"))


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_authorization_is_anonymous(value: str) -> None:
    """An empty Authorization header, as the Python SDK sends it, is no signature."""
    assert check(request("GET", JOB, {"host": H, "authorization": value})) is None


@pytest.mark.parametrize("value", ["Bearer x", "q-ak", "&&&", "q-sign-algorithm=sha1"])
def test_foreign_authorization(value: str) -> None:
    """An Authorization header of another kind is refused with a reason, not taken as anonymous."""
    with pytest.raises(Forbidden, match="lacks"):
        check(request("GET", JOB, {"host": H, "authorization": value}))


@pytest.mark.shows("clock: 900 s ahead, none after the end")
@pytest.mark.parametrize(
    ("now", "error"), [(1700010061, RequestExpired), (1700000000 - 901, RequestTimeTooSkewed)]
)
def test_clock(now: int, error: type[Forbidden]) -> None:
    """No tolerance after the end, 900 s before the start."""
    with pytest.raises(error):
        check(V1, now)
    assert key() == check(V1, 1700010060)
    assert key() == check(V1, 1700000000 - 900)


def test_expired_message() -> None:
    """Node corrects its clock on exactly this text."""
    assert ("AccessDenied", "Request has expired") == (code_of(RequestExpired()), RequestExpired().message)


@pytest.mark.shows("tokens under both names, in header or query")
@pytest.mark.parametrize("name", ["x-ci-security-token", "x-cos-security-token"])
def test_token(name: str) -> None:
    """A temporary key needs its token, under either name, in header or query, signed or not."""
    temporary = key(session_token="tok/1")
    signed, _ = VECTORS["V8"]

    def sent(headers: dict[str, str], target: str = JOB) -> Principal | None:
        value = signed.header("authorization")
        return verify(request("GET", target, {"host": H} | headers, value), lambda _: temporary, now=NOW)

    assert temporary == sent({name: "tok/1"})
    assert temporary == sent({}, f"{JOB}?{name}=tok%2F1")
    for wrong, message in (
        ({}, "This credential needs its security token."),
        ({name: "tok/2"}, "The security token is wrong."),
    ):
        with pytest.raises(Forbidden) as refused:
            sent(wrong)
        assert message == refused.value.message


def test_a_token_that_is_no_text_is_wrong() -> None:
    """A token with a lone surrogate, as the parser leaves an undecodable byte, is refused like any other."""
    signed = dataclasses.replace(V1, params=[("x-ci-security-token", "\udcff")])
    with pytest.raises(Forbidden, match="token is wrong"):
        verify(signed, lambda _: key(session_token="tok"), now=NOW)


def test_expired_token() -> None:
    """A temporary key past its end is refused as ExpiredToken before the signature is checked."""
    with pytest.raises(ExpiredToken):
        verify(V1, lambda _: key(expires_at=NOW - 1), now=NOW)
    assert key(expires_at=NOW) == verify(V1, lambda _: key(expires_at=NOW), now=NOW)


def test_required_host() -> None:
    """Where the operator demands it, a signature without Host is refused."""
    with pytest.raises(SignatureDoesNotMatch) as refused:
        verify(VECTORS["V8"][0], lookup, now=NOW, require_host=True)
    assert "The signature does not cover the Host header." == refused.value.message
    assert key() == verify(V1, lookup, now=NOW, require_host=True)


@pytest.mark.parametrize(
    ("lasts_s", "is_valid"), [(60, True), (3600, True), (3600 + 900, True), (3600 + 901, False)]
)
def test_a_signature_may_be_valid_for_so_long(lasts_s: int, is_valid: bool) -> None:
    """A start in the past is no part of the span; without a limit any span is right."""
    unsigned = request("GET", JOB, {"host": H})
    start = NOW - 900
    value = sign(
        unsigned,
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        start=start,
        end=start + lasts_s,
        headers=("host",),
    )
    signed, now = request("GET", JOB, {"host": H}, value), start + 1
    assert key() == verify(signed, lookup, now=now)
    if is_valid:
        assert key() == verify(signed, lookup, now=now, max_span_s=3600)
    else:
        with pytest.raises(Forbidden, match=r"^The signature is valid for longer than 3600 s\.$"):
            verify(signed, lookup, now=now, max_span_s=3600)


@pytest.mark.parametrize(("is_signs", "error"), [(True, Forbidden), (False, SignatureDoesNotMatch)])
def test_the_span_is_that_of_the_signature(is_signs: bool, error: type[Forbidden]) -> None:
    """The key that is derived for it may be valid for longer, as those that SDKs derive for a day are."""
    long, short = f"{NOW};{NOW + 90_000}", f"{NOW};{NOW + 60}"
    name = "q-sign-time" if is_signs else "q-key-time"
    value = authorization(short, "host", "", "0" * 40).replace(f"{name}={short}", f"{name}={long}")
    with pytest.raises(Forbidden) as refused:
        verify(request("GET", JOB, {"host": H}, value), lookup, now=NOW, max_span_s=3600)
    assert error is type(refused.value)


@pytest.mark.parametrize(
    ("lasts_s", "max_s", "is_valid"),
    [
        (2 * 86_400, 3600, True),
        (2 * 86_400 + 901, 3600, False),
        (28 * 365 * 86_400, 86_400, False),
        (7 * 86_400, 7 * 86_400, True),
        (28 * 365 * 86_400, None, True),
    ],
)
def test_a_derived_key_is_valid_for_two_days(lasts_s: int, max_s: int | None, is_valid: bool) -> None:
    """What has leaked of a signer is of use for two days, or as long as the longest signature."""
    unsigned = Authorization(SECRET_ID, f"{NOW};{NOW + 60}", f"{NOW};{NOW + lasts_s}", ("host",), ())
    text = next(http_strings(request("GET", JOB, {"host": H}), unsigned))
    value = str(dataclasses.replace(unsigned, signature=unsigned.compute(SECRET_KEY, text)))
    signed = request("GET", JOB, {"host": H}, value)
    if is_valid:
        assert key() == verify(signed, lookup, now=NOW, max_span_s=max_s)
    else:
        with pytest.raises(Forbidden, match=r"^The signing key is valid for longer than 172800 s\.$"):
            verify(signed, lookup, now=NOW, max_span_s=max_s)


@pytest.mark.parametrize("name", ["nextToken", "key", "bucketName", "sign"])
def test_names_of_parameters_are_compared_as_signatures_spell_them(name: str) -> None:
    """Only ASCII letters have two cases: U+212A, which Python's ``lower`` makes a k, is another name."""
    assert spelled(name) == spelled(name.upper()) == name.lower()
    odd = name.replace("k", "\u212a").replace("s", "\u017f")
    assert spelled(odd) != spelled(name)
    assert "" == SignedRequest("GET", "/", [(odd, "x")], []).param(name.lower())


def test_second_parameter_of_a_signed_name() -> None:
    """A second ``tag`` cannot be added to a signed one."""
    signed = VECTORS["V2"][0]
    with pytest.raises(SignatureDoesNotMatch):
        check(dataclasses.replace(signed, params=[*signed.params, ("Tag", "x")]))


@pytest.mark.shows("only what the two lists name, several values sorted")
def test_several_values_of_a_name_are_sorted() -> None:
    """Go signs every value of a repeated name, sorted."""
    unsigned = request("GET", "/jobs?a=2&a=1", {"host": H})
    value = sign(unsigned, secret_id=SECRET_ID, secret_key=SECRET_KEY, start=NOW, end=NOW + 60)
    twice = value.replace("q-url-param-list=a", "q-url-param-list=a;a")
    for sent in (value, twice):
        assert key() == check(request("GET", "/jobs?a=1&a=2", {"host": H}, sent))


@pytest.mark.parametrize("hosts", [[], [H.encode(), b"evil"]])
def test_two_hosts(hosts: list[bytes]) -> None:
    """A signature that covers Host verifies only with exactly one Host header."""
    others = [(name, value) for name, value in V1.headers if name != "host"]
    with pytest.raises(SignatureDoesNotMatch) as refused:
        check(dataclasses.replace(V1, headers=[*others, *(("host", host) for host in hosts)]))
    assert "The request does not have exactly one Host header." == refused.value.message


@pytest.mark.parametrize("signed_host", [f"{H}:8080", H])
def test_a_host_in_capitals(signed_host: str) -> None:
    """A client may sign its host in lower case, with or without port, and send it in capitals."""
    value = sign(
        request("GET", JOB, {"host": signed_host}),
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        start=NOW,
        end=NOW + 60,
    )
    assert key() == check(request("GET", JOB, {"host": f"{H.upper()}:8080"}, value))


def test_headers_without_host() -> None:
    """A signature may cover headers and not the host; the headers count all the same."""
    headers = {"host": H, "content-type": "text/plain"}
    value = sign(
        request("GET", JOB, headers),
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        start=NOW,
        end=NOW + 60,
        headers=("content-type",),
    )
    assert key() == check(request("GET", JOB, headers, value))
    with pytest.raises(SignatureDoesNotMatch):
        check(request("GET", JOB, headers | {"content-type": "text/html"}, value))


def test_undecodable_bytes_are_a_mismatch() -> None:
    """Lone surrogates in path and query, as the parser leaves undecodable bytes, do not match."""
    for damaged in (
        dataclasses.replace(V1, path="/jobs\udcff"),
        dataclasses.replace(VECTORS["V2"][0], params=[("tag", "\udcff"), *VECTORS["V2"][0].params[1:]]),
    ):
        with pytest.raises(SignatureDoesNotMatch):
            check(damaged)


def test_encoding() -> None:
    """Everything outside the unreserved set is encoded, with upper-case digits."""
    assert "%20%21%27%28%29%2A%2B%2F%3B%3D~-_.%C3%A9" == encode(" !'()*+/;=~-_.é")


def test_recordings() -> None:
    """Every recorded request of the two SDKs verifies, and not after any one signed byte is changed."""
    principal = Principal("AKIDEXAMPLEEXAMPLEEXAMPLE", "SecretKeyExampleExample", Policy())
    kept = recordings()
    assert len(kept) > 60
    for recording in kept:
        signed, now = recording.request, recording.signed_at
        assert principal == verify(signed, lambda _: principal, now=now), recording.name
        for other in mutations(signed):
            with pytest.raises(Forbidden):
                verify(other, lambda _: principal, now=now)


def flipped(text: str, index: int) -> str:
    """The text with another character at that place, which differs in more than case."""
    return text[:index] + ("x" if text[index].lower() != "x" else "y") + text[index + 1 :]


def mutations(signed: SignedRequest) -> list[SignedRequest]:
    """The request with each single signed character changed."""
    carried = signed.authorization
    assert carried is not None
    found = [dataclasses.replace(signed, method="PATCH")]
    found += [dataclasses.replace(signed, path=flipped(signed.path, i)) for i in range(1, len(signed.path))]
    for number, (name, value) in enumerate(signed.headers):
        if name in carried.header_list:
            text = value.decode("latin-1")
            port = text.find(":") if name == "host" else -1
            covered = port if port >= 0 and "node-direct" not in text else len(text)
            for i in range(covered):
                headers = list(signed.headers)
                headers[number] = (name, flipped(text, i).encode("latin-1"))
                found.append(dataclasses.replace(signed, headers=headers))
    for number, (name, param) in enumerate(signed.params):
        if name.lower() in carried.param_list:
            for i in range(len(param)):
                params = list(signed.params)
                params[number] = (name, flipped(param, i))
                found.append(dataclasses.replace(signed, params=params))
    text = signed.header("authorization")
    for mark in ("q-sign-time=", "q-key-time=", "q-signature="):
        start = text.index(mark) + len(mark)
        for i in (start, start + 5, start + 9):
            headers = [(n, v) for n, v in signed.headers if n != "authorization"]
            digit = "0" if text[i] != "0" else "1"
            headers.append(("authorization", (text[:i] + digit + text[i + 1 :]).encode()))
            found.append(dataclasses.replace(signed, headers=headers))
    return found


NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC-_ é%;=&+", min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
HEADER_NAMES = st.sampled_from(["content-type", "content-length", "x-ci-a", "x-cos-b", "date"])


@st.composite
def unsigned_requests(draw: st.DrawFn) -> SignedRequest:
    params = draw(st.lists(st.tuples(NAMES, TEXTS), max_size=5))
    reserved = {"sign", *(n for n, _ in params if n.lower().startswith("q-"))}
    headers = draw(st.dictionaries(HEADER_NAMES, TEXTS, max_size=4))
    return SignedRequest(
        method=draw(st.sampled_from(["GET", "PUT", "POST", "DELETE"])),
        path="/" + draw(TEXTS),
        params=[(n, v) for n, v in params if n.lower() not in reserved],
        headers=[("host", H.encode()), *((n, v.strip().encode()) for n, v in headers.items())],
    )


@pytest.mark.shows("only what the two lists name, several values sorted")
@settings(max_examples=rounds(100, 1000), deadline=None)
@given(unsigned_requests(), st.data())
def test_round_trip(unsigned: SignedRequest, data: st.DataObject) -> None:
    """What was signed verifies, and no longer verifies when any signed part changes."""
    value = sign(
        unsigned,
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        start=NOW - 1,
        end=NOW + 60,
        headers=[name for name, _ in unsigned.headers],
    )
    signed = dataclasses.replace(unsigned, headers=[*unsigned.headers, ("authorization", value.encode())])
    assert key() == check(signed)
    other = data.draw(st.sampled_from(mutations(signed)))
    with pytest.raises(Forbidden):
        check(other)


@settings(max_examples=rounds(200, 2000), deadline=None)
@given(
    st.text(max_size=200) | st.lists(st.sampled_from([*"&=;%", "q-ak=", LONG, "q-sign-time="])).map("".join)
)
def test_any_authorization(value: str) -> None:
    """No Authorization text, however strange, causes anything but a refusal."""
    sent = request("GET", JOB, {"host": H, "authorization": value.encode("utf-8", "replace").decode()})
    with contextlib.suppress(Forbidden):
        assert check(sent) is None
