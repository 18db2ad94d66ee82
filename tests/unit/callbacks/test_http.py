"""Parsing URLs."""

from __future__ import annotations

import pytest

from stemline.callbacks.http import BadUrl, basic_authorization, parse_url


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://cb.example.com/ci", "cb.example.com", b"/ci"),
        ("HTTP://CB.Example.com", "cb.example.com", b"/"),
        ("https://cb.example.com:443/a", "cb.example.com", b"/a"),
        ("https://cb.example.com:8443/a", "cb.example.com:8443", b"/a"),
        ("http://cb.example.com./a", "cb.example.com", b"/a"),
        ("http://cb.example.com?x=1", "cb.example.com", b"/?x=1"),
        ("http://cb.example.com/a?", "cb.example.com", b"/a?"),
        (
            "http://cb.example.com/a%2Fb/../c;d?x=%20&y=a+b#part",
            "cb.example.com",
            b"/a%2Fb/../c;d?x=%20&y=a+b",
        ),
        ("http://cb.example.com/回?调=1", "cb.example.com", b"/%E5%9B%9E?%E8%B0%83=1"),
        ("http://bücher.example/a", "xn--bcher-kva.example", b"/a"),
        ("http://[2606:4700::1111]:81/a", "[2606:4700::1111]:81", b"/a"),
        ("http://user:pw@cb.example.com/a", "cb.example.com", b"/a"),
    ],
)
def test_urls_are_called_as_given(url, authority, target):
    """Path and query are kept, non-ASCII characters percent-encoded; the host is lower case, in IDNA form."""
    parsed = parse_url(url)
    assert (authority, target) == (parsed.authority, parsed.target)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com/hook",
        "http://",
        "http:///path",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://[::1/",
        "http://example.com\\@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com/a\r\nX: y",
        "http://" + "a" * 70 + "ü.example/",
    ],
)
def test_ambiguous_urls_are_refused(url):
    """A URL that is not http(s), or that another parser may read differently, is refused."""
    with pytest.raises(BadUrl):
        parse_url(url)


def test_userinfo_becomes_basic_authorization():
    """User and password of a URL become HTTP basic authorization, percent-decoded."""
    assert "Basic dXNlcjpwQHc=" == basic_authorization(parse_url("http://user:p%40w@h/").userinfo)
