"""The formats of test media: codecs in containers, and the arrangements of streams that each can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

RATE = 44_100
#: Length of the pause in the middle of the audio, in seconds.
PAUSE_S = 7
#: By how much audio that is late begins after the video, in seconds.
OFFSET_S = 0.4

#: Arrangements by what a container must be able to hold.
ARRANGEMENTS: Mapping[str, str] = {
    "plain": "",
    "chapters": "chapters",
    "cover last": "cover",
    "cover first": "cover-first",
    "video first": "video",
    "video last": "video",
    "video around": "videos",
    "late": "video times",
    "two tracks": "tracks",
    "second default": "defaults",
    "subtitles": "subtitles",
    "pause": "times",
    "muted": "video times",
}


@dataclass(frozen=True)
class Format:
    """A codec in a container, and what else the container can hold.

    Attributes:
        suffix: The file's, without a dot.
        codec: FFmpeg's encoder.
        holds: Words of `ARRANGEMENTS`.
        lossless: Whether the samples come back as they were.
        rate: Sample rate, Hz.
        video, subtitles: FFmpeg's encoders.
        ticks: Time stamps in a second.
        options: More options of the `ffmpeg` command.
        without: Arrangements that FFmpeg writes wrongly.
    """

    suffix: str
    codec: str
    holds: str = ""
    lossless: bool = False
    rate: int = RATE
    video: str = ""
    subtitles: str = ""
    ticks: int = 0
    options: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name of its files, without an arrangement."""
        return f"{self.suffix}-{self.codec}"

    def arrangements(self) -> Iterator[str]:
        """Yield the arrangements of streams that the container can hold."""
        held = set(self.holds.split())
        for arrangement, needed in ARRANGEMENTS.items():
            if set(needed.split()) <= held and arrangement not in self.without:
                yield arrangement


_LOSSLESS = frozenset({"flac", "alac", "wavpack", "tta"})
_LOSSY_PCM = frozenset({"pcm_u8", "pcm_alaw", "pcm_mulaw"})
_RATES = {"libopus": 48_000, "libspeex": 32_000}
#: Short pages, as a recorder writes them: the time of a packet is known by page only.
_PAGES = ("-page_duration", "100000")
_STRICT = ("-strict", "-2")

_WAV = "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw adpcm_ms adpcm_ima_wav"
_ISOM = Format(
    "mp4",
    "aac libmp3lame ac3 alac flac libopus",
    "chapters cover cover-first video videos tracks defaults subtitles times",
    video="mpeg4",
    subtitles="mov_text",
    options=_STRICT,
)
_MATROSKA = Format(
    "mkv",
    "aac libmp3lame ac3 alac flac libvorbis libopus pcm_s16le",
    "chapters cover video videos tracks defaults subtitles times",
    video="mpeg4",
    subtitles="srt",
    ticks=1000,
    options=_STRICT,
)
_OGG = Format(
    "ogg", "libvorbis libopus flac libspeex", "chapters cover video videos tracks times", options=_PAGES
)

#: Containers; `codec` lists the encoders.
_FAMILIES = (
    Format("wav", f"{_WAV} libmp3lame"),
    Format("w64", "pcm_s16le"),
    Format("aiff", "pcm_s16be pcm_s24be", "cover", options=("-write_id3v2", "1")),
    Format("caf", "pcm_s16be pcm_s24le alac"),
    Format("au", "pcm_s16be"),
    Format("flac", "flac", "cover"),
    Format("wv", "wavpack"),
    Format("tta", "tta"),
    Format("mp3", "libmp3lame", "cover chapters"),
    Format("mp2", "mp2"),
    Format("aac", "aac", options=("-f", "adts")),
    Format("ac3", "ac3"),
    Format("eac3", "eac3"),
    Format("m4a", "aac alac", "chapters cover cover-first tracks defaults times"),
    _ISOM,
    replace(_ISOM, suffix="mov", codec="aac libmp3lame alac"),
    # A sample of pcm lasts one tick there: there is no room for a pause.
    replace(_ISOM, suffix="mov", codec="pcm_s16le", without=frozenset({"pause", "muted"})),
    # As browsers record: written before the encoder's delay is known. Of late audio, FFmpeg writes the first
    # packet at the start, so that a pause follows it.
    replace(
        _ISOM,
        suffix="fmp4",
        codec="aac libmp3lame flac libopus",
        holds="video videos tracks times",
        options=(*_STRICT, "-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
        without=frozenset({"late"}),
    ),
    Format("3gp", "aac", "video videos tracks times", video="mpeg4"),
    _MATROSKA,
    replace(
        _MATROSKA,
        suffix="webm",
        codec="libvorbis libopus",
        video="libvpx",
        subtitles="webvtt",
        holds="video videos tracks subtitles times",
    ),
    Format("avi", "libmp3lame ac3 aac pcm_s16le", "video videos tracks", video="mpeg4"),
    Format(
        "ts",
        "aac mp2 libmp3lame ac3 eac3 libopus",
        "video videos tracks times",
        video="mpeg2video",
        ticks=90_000,
    ),
    Format(
        "mpg", "mp2 ac3", "video videos tracks times", video="mpeg2video", ticks=90_000, options=("-f", "vob")
    ),
    Format("flv", "aac libmp3lame", "video times", video="flv1", ticks=1000),
    replace(_OGG, video="libtheora"),
    replace(_OGG, suffix="opus", codec="libopus", holds="cover chapters times"),
    Format(
        "wma",
        "wmav2 wmav1 libmp3lame",
        "cover video videos tracks times",
        video="msmpeg4",
        ticks=1000,
        options=("-f", "asf"),
    ),
)

#: What the muxers of FFmpeg 5 write wrongly: they move Opus apart that is delayed for a video.
_WITHOUT = {"mkv-libopus": {"muted"}, "webm-libopus": {"muted"}}


def _members(family: Format) -> Iterator[Format]:
    for codec in family.codec.split():
        rate = _RATES.get(codec, RATE)
        name = f"{family.suffix}-{codec}"
        yield replace(
            family,
            codec=codec,
            rate=rate,
            ticks=family.ticks or rate,
            lossless=codec in _LOSSLESS or (codec.startswith("pcm_") and codec not in _LOSSY_PCM),
            without=family.without | _WITHOUT.get(name, set()),
        )


#: Every codec in every container.
FORMATS = tuple(member for family in _FAMILIES for member in _members(family))

#: The formats of each container, by its suffix.
BY_SUFFIX = {suffix: tuple(members) for suffix, members in groupby(FORMATS, key=lambda kind: kind.suffix)}
