"""The language that is meant among those of a file."""

from __future__ import annotations

import pytest

from stemline.separation.media.languages import meant


@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("en", "eng"), ("eng", "EN"), ("fre", "fr"), ("fra", "fre"), ("zh-Hans", "chi"), ("zho", "zh"),
        ("pt-BR", "por"), ("nb", "nob"), ("narration", "Narration"), ("en", "en-GB"), ("eng", "en-US"),
        ("zh-TW", "zh-Hant"), ("zh-Hant", "zh-TW"), ("zh-Hant", "zh-HK"), ("zh-Hans", "zh-CN"),
        ("sr-Latn", "hbs"), ("nob", "no"), ("nno", "nor"), ("cmn", "zh"), ("yue", "chi"), ("sr-Latn", "sh"),
        ("arb", "ara"), ("und", "und"), ("", "und"), (None, "und"), ("mis", "MIS"), ("qaa", "qaa"),
        ("en-us", "en-US"), ("x" * 300, "x" * 300), ("not a tag", "Not a tag"),
    ],
)  # fmt: skip
def test_one_language_is_found(file: str | None, asked: str) -> None:
    """A language is found by every tag that does not contradict it, by its macrolanguage, and as written."""
    assert [1] == meant(asked, ["deu", file, "jpn"])


@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("pt-PT", "pt-BR"), ("en-US", "en-GB"), ("zh-Hans", "zh-Hant"), ("zh-CN", "zh-TW"),
        ("sr-Latn", "sr-Cyrl"), ("nob", "nno"), ("yue", "cmn"), ("deu", "en"), ("eng", "und"), (None, "en"),
        ("mis", "und"), ("qaa", "qab"), ("narration", "nar"), ("eng", ""),
    ],
)  # fmt: skip
def test_another_language_is_not_found(file: str | None, asked: str) -> None:
    """A tag that contradicts the wanted one is another language, whatever they have in common."""
    assert [] == meant(asked, [file])


@pytest.mark.parametrize(
    ("languages", "asked", "places"),
    [
        (["pt-PT", "pt-BR"], "pt-BR", [1]),
        (["pt-BR", "pt-PT"], "pt-BR", [0]),
        (["pt-PT", "pt-BR"], "por", [0, 1]),
        (["pt-PT", "por"], "pt", [1]),
        (["zh-Hans", "zh-Hant"], "zh-Hant", [1]),
        (["zh-Hans", "zh-Hant"], "zh-TW", [1]),
        (["en-US", "en-GB"], "en-GB", [1]),
        (["en-US", "eng"], "en-GB", [1]),
        (["sr-Latn", "sr-Cyrl"], "sr-Cyrl", [1]),
        (["nob", "nno"], "nno", [1]),
        (["nob", "nno"], "no", [0, 1]),
        (["nob", "nor"], "no", [1]),
        (["yue", "cmn"], "zh", [0, 1]),
        (["und", "eng", "und"], "und", [0, 2]),
        (["eng", "en"], "eng", [0]),
        (["eng", "eng"], "en", [0, 1]),
    ],
)
def test_the_closest_language_is_meant(languages: list[str], asked: str, places: list[int]) -> None:
    """The same tag goes before one that says more or less, and that before one of the macrolanguage."""
    assert places == meant(asked, languages)
