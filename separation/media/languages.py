"""Finds the language that is meant among those that a file has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

#: What a file says of a track without a language, and a file that says nothing.
UNDETERMINED: Final = "und"
#: Longer texts are no tags.
_MAX_CHARACTERS: Final = 40


class _Tag(NamedTuple):
    """A language as it is written, and what it says."""

    text: str
    tag: str
    """Its one tag, whichever of its codes it is written with."""
    stated: tuple[str | None, ...]
    """Language, script and territory, as far as they are said."""
    likely: tuple[str | None, ...]
    """The same, with what is most likely in place of what is not said."""


#: From the closest relation to the widest: whether a wanted language means one of a file.
_RELATIONS: Final[Sequence[Callable[[_Tag, _Tag], bool]]] = (
    lambda wanted, found: wanted.text == found.text,
    lambda wanted, found: wanted.tag == found.tag,
    lambda wanted, found: _agrees(wanted.stated, found.likely),  # pt for pt-BR, zh-Hant for zh-TW
    lambda wanted, found: _agrees(found.stated, wanted.likely),  # en-GB for en
    lambda wanted, found: _whole(found) == wanted.stated[0],  # no for nb, zh for yue
)


def meant(wanted: str, languages: Sequence[str | None]) -> list[int]:
    """Return the places of the languages that are meant, in their order.

    The closest relation that there is decides: the same text, the same tag, a tag that says more than the
    wanted one or less and does not contradict it, a language of the macrolanguage. So several places are
    those of one tag, or of tags between which the wanted one does not decide.

    Args:
        wanted: A code of ISO 639 with two or three letters, a tag such as `en-GB`, or a text of a file.
        languages: As the file has them: mp4 uses the codes of ISO 639-2/T, matroska those of 639-2/B or tags.
    """
    asked = _tag(wanted)
    tags = [_tag(language or UNDETERMINED) for language in languages]
    for related in _RELATIONS:
        if places := [place for place, tag in enumerate(tags) if related(asked, tag)]:
            return places
    return []


def canonical(language: str | None) -> str:
    """Return the one tag of a language, whichever of its codes it is written with."""
    return _tag(language or UNDETERMINED).tag


def _tag(text: str) -> _Tag:
    # Takes 0.1 s, and most requests name no language.
    from langcodes import Language  # noqa: PLC0415
    from langcodes.tag_parser import LanguageTagError  # noqa: PLC0415

    text = text.strip().lower()
    plain = _Tag(text, text, (text, None, None), (text, None, None))
    if len(text) > _MAX_CHARACTERS:
        return plain
    try:
        said = Language.get(text)
    except LanguageTagError:
        return plain
    if said.language is None:
        return plain
    likely = said.maximize()
    return _Tag(
        text,
        said.to_tag().lower(),
        (said.language, said.script, said.territory),
        (said.language, likely.script, likely.territory),
    )


def _agrees(said: tuple[str | None, ...], likely: tuple[str | None, ...]) -> bool:
    """Return whether everything that is said is so in a whole tag."""
    return all(part is None or part == other for part, other in zip(said, likely, strict=True))


def _whole(tag: _Tag) -> str | None:
    """Return the macrolanguage that a language is part of."""
    from langcodes.data_dicts import MACROLANGUAGES  # noqa: PLC0415

    return MACROLANGUAGES.get(tag.stated[0] or "")
