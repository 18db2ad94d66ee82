"""Chooses the audio track of a file that has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.container import InputContainer
from av.stream import Disposition

from stemline.separation.errors import NoAudioStream, OptionError, UndecodableMedia
from stemline.separation.media.container import CODECS
from stemline.separation.media.languages import UNDETERMINED, canonical, meant

#: Digits of a number of a track; longer ones are no numbers that Python reads.
_MAX_DIGITS = 9
#: Tracks that a message lists, and characters of each language.
_MAX_SHOWN, _MAX_CHARACTERS = 20, 40
#: What programs write in an mp4's place of a title.
_HANDLERS = frozenset({"", "SoundHandler", "Core Media Audio", "Apple Sound Media Handler", "soun"})


def audio_track(
    container: InputContainer, track: str | None = None, unreadable: Mapping[int, str] = MappingProxyType({})
) -> AudioStream:
    """Return an audio track.

    Args:
        container: The opened file.
        track: Its number among the audio tracks, from 0, or its language: a code of ISO 639 with two or three
            letters, a tag such as `en-GB`, or as the file has it; the first of several with one tag. None is
            the first one that is flagged as default, or the first.
        unreadable: Why a stream cannot be read, by its number in the file.

    Raises:
        NoAudioStream: There is no audio.
        OptionError: There is no such track, or the language does not decide between several.
        UndecodableMedia: It is unreadable, or no allowed decoder reads it.
    """
    tracks = container.streams.audio
    if not tracks:
        raise NoAudioStream
    stream = _default(tracks) if track is None else _named(tracks, track)
    if reason := unreadable.get(stream.index):
        raise UndecodableMedia(reason)
    context: CodecContext | None = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        raise UndecodableMedia("There is no decoder for the audio stream of the source.")
    return stream


def _default(tracks: tuple[AudioStream, ...]) -> AudioStream:
    return next((each for each in tracks if each.disposition & Disposition.default), tracks[0])


def _named(tracks: tuple[AudioStream, ...], track: str) -> AudioStream:
    if track.isdecimal() and len(track) <= _MAX_DIGITS:
        if int(track) < len(tracks):
            return tracks[int(track)]
    elif places := meant(track, [each.language for each in tracks]):
        if len({canonical(tracks[place].language) for place in places}) > 1:
            raise OptionError(
                f"The audio track {_shown(track)!r} may be {_listed(tracks, places)};"
                " name it by its number or by its whole tag."
            )
        return tracks[places[0]]
    raise OptionError(
        f"The source has no audio track {_shown(track)!r}; it has {_listed(tracks, range(len(tracks)))}."
    )


def _listed(tracks: tuple[AudioStream, ...], places: Sequence[int]) -> str:
    """Return the numbers, languages and titles of some tracks."""
    known = [f"{place} ({_described(tracks[place])})" for place in places[:_MAX_SHOWN]]
    return ", ".join([*known, "..."] if len(places) > _MAX_SHOWN else known)


def _described(track: AudioStream) -> str:
    """Return the language of a track, and its title where it has one: recorders name all tracks alike."""
    title = track.metadata.get("title") or track.metadata.get("handler_name", "")
    words = [track.language or UNDETERMINED, *([] if title in _HANDLERS else [title])]
    return ", ".join(_shown(word) for word in words)


def _shown(text: str) -> str:
    """Return a text of a file or a request as a message may quote it: short, no control characters."""
    short = text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "..."
    return "".join(each if each.isprintable() else "?" for each in short)
