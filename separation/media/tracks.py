"""Chooses the audio track of a file that has several."""

from __future__ import annotations

from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.container import InputContainer
from av.stream import Disposition

from stemline.separation.errors import NoAudioStream, OptionError, UndecodableMedia
from stemline.separation.media.container import CODECS

#: Digits of a number of a track; longer ones are no numbers that Python reads.
_MOST_DIGITS = 9
#: Tracks that a message lists, and characters of each language.
_MOST_SHOWN, _MOST_CHARACTERS = 20, 40


def audio_track(container: InputContainer, track: str | None = None) -> AudioStream:
    """Return an audio track.

    Args:
        container: The opened file.
        track: Its number among the audio tracks, from 0, or its language: a code of ISO 639 with two or three
            letters, a tag such as `en-GB`, or as the file has it. None is the first one that is flagged as
            default, or the first.

    Raises:
        NoAudioStream: There is no audio.
        OptionError: There is no such track.
        UndecodableMedia: No allowed decoder reads it.
    """
    tracks = container.streams.audio
    if not tracks:
        raise NoAudioStream
    stream = _default(tracks) if track is None else _named(tracks, track)
    context: CodecContext | None = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        raise UndecodableMedia("There is no decoder for the audio stream of the source.")
    return stream


def _default(tracks: tuple[AudioStream, ...]) -> AudioStream:
    return next((each for each in tracks if each.disposition & Disposition.default), tracks[0])


def _named(tracks: tuple[AudioStream, ...], track: str) -> AudioStream:
    if track.isdecimal() and len(track) <= _MOST_DIGITS:
        if int(track) < len(tracks):
            return tracks[int(track)]
    else:
        wanted = _code(track)
        for each in tracks:
            if _code(each.language or "") == wanted:
                return each
    known = ", ".join(
        f"{number} ({_shown(each.language or 'und')})" for number, each in enumerate(tracks[:_MOST_SHOWN])
    )
    more = ", ..." if len(tracks) > _MOST_SHOWN else ""
    raise OptionError(f"The source has no audio track {_shown(track)!r}; it has {known}{more}.")


def _shown(text: str) -> str:
    """Return a text of a file or a request as a message may quote it: short, no control characters."""
    short = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
    return "".join(each if each.isprintable() else "?" for each in short)


def _code(language: str) -> str:
    """Return one code for a language, whichever of its codes it is given by: `en` for `eng` and `en-GB`.

    mp4 uses the codes of ISO 639-2/T, matroska those of 639-2/B or tags of BCP 47.
    """
    # Takes 0.1 s, and most requests name no language.
    from langcodes import Language  # noqa: PLC0415
    from langcodes.tag_parser import LanguageTagError  # noqa: PLC0415

    language = language.strip().lower()
    try:
        return Language.get(language).language or language
    except LanguageTagError:
        return language
