"""Sources of every kind, read through FFmpeg."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stemline.separation.errors import (
    EmptyAudio,
    MediaError,
    NoAudioStream,
    NonFiniteAudio,
    TooLarge,
    TooLong,
    UndecodableMedia,
)
from stemline.separation.media import BLOCK_FRAMES, MediaLimits, open_audio
from tests.media import KINDS, Kind, make, tone

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)

# Frames that these kinds add, because their containers do not declare the padding. All others are exact.
PADDED = {
    "aac-44100-stereo.aac": 2 * 1024,
    "aac-44100-stereo.flv": 2 * 1024,
    "aac-44100-stereo-video.ts": 2 * 1024,
    "aac-44100-stereo-video.mkv": 1024,
    "libmp3lame-44100-stereo-video.avi": 3 * 1152,
    "vorbis-44100-stereo.ogg": 1024,
    "ac3-44100-stereo.ac3": 2 * 1536,
    "mp2-44100-stereo.mp2": 2 * 1152,
    "libopencore_amrnb-8000-mono.amr": 2 * 160 * 44_100 // 8000,
    "wmav2-44100-stereo.wma": 2 * 2048,
}


def read(path: Path, limits: MediaLimits = LIMITS) -> np.ndarray:
    with open_audio(path, limits=limits) as audio:
        return np.concatenate(list(audio))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_container_is_read_to_the_sample(kind: Kind, tmp_path: Path):
    """What was encoded is read back in place, with the number of samples that the container declares."""
    frames = kind.rate * 2 + 777
    channels = av.AudioLayout(kind.layout).nb_channels
    samples = tone(frames, channels, kind.rate)

    heard = read(make(tmp_path / kind.name, kind, samples))

    expected = round(frames * 44_100 / kind.rate)
    assert abs(len(heard) - expected) <= PADDED.get(kind.name, 0)
    assert np.isfinite(heard).all()
    # The loudest partial of each side is the one that was put there.
    for side in range(2):
        spectrum = np.abs(np.fft.rfft(heard[22_050:66_150, side]))
        assert pytest.approx(220.0 * (1 + (side if channels > 1 else 0) / 4), abs=2) == spectrum.argmax()


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.codec in {"pcm_s16le", "pcm_f32le", "flac", "alac"}],
    ids=lambda kind: kind.name,
)
def test_lossless_sources_are_read_bit_by_bit(kind: Kind, tmp_path: Path):
    """A lossless source at 44.1 kHz gives exactly its samples, to half a step of 16 bits."""
    samples = tone(44_100 * 2 + 5)

    heard = read(make(tmp_path / kind.name, kind, samples))

    assert np.abs(heard - samples).max() <= 0.5001 / 32_768


@pytest.mark.parametrize(
    "kind",
    [Kind("mp3", "libmp3lame"), Kind("m4a", "aac"), Kind("opus", "libopus", rate=48_000)],
    ids=lambda kind: kind.name,
)
def test_gapless_lossy_sources_are_aligned(kind: Kind, tmp_path: Path):
    """An impulse in a source with gapless data is heard at its own sample."""
    samples = np.zeros((kind.rate, 2), dtype=np.float32)
    samples[kind.rate // 2] = 0.9

    heard = read(make(tmp_path / kind.name, kind, samples))

    assert 44_100 == len(heard)
    assert 22_050 == pytest.approx(np.abs(heard[:, 0]).argmax(), abs=1)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 48_000, 88_200, 96_000, 192_000])
def test_any_rate_is_brought_to_44100(rate: int, tmp_path: Path):
    """A wav of any rate has its exact length at 44.1 kHz."""
    frames = rate + 123

    heard = read(make(tmp_path / "in.wav", Kind("wav", "pcm_s16le", rate=rate), tone(frames, rate=rate)))

    assert int(frames * 44_100 / rate + 0.5) == len(heard)


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "aac"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"])
def test_any_layout_is_brought_to_stereo(layout: str, codec: str, tmp_path: Path):
    """Mono to 7.1 come down to two sides: what is only on the left stays there."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    samples = np.zeros((20_000, len(names)), dtype=np.float32)
    samples[:, 0] = tone(20_000, 1)[:, 0]
    suffix = {"pcm_s16le": "wav", "flac": "flac", "aac": "m4a"}[codec]

    heard = read(make(tmp_path / f"in.{suffix}", Kind(suffix, codec, layout=layout), samples))

    left, right = np.sqrt((heard**2).mean(axis=0))
    assert 20_000 == len(heard)
    assert left > 0.05
    assert pytest.approx(left if layout == "mono" else 0.0, abs=0.005) == right


def test_blocks_are_what_the_networks_want(tmp_path: Path):
    """Blocks are contiguous float32 stereo of the announced size, the last one shorter."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(BLOCK_FRAMES * 2 + 10))

    with open_audio(path, limits=LIMITS) as audio:
        blocks = list(audio)

    assert [BLOCK_FRAMES, BLOCK_FRAMES, 10] == [len(block) for block in blocks]
    assert all(block.flags.c_contiguous and block.dtype == np.float32 for block in blocks)


def test_the_source_introduces_itself(tmp_path: Path):
    """Codec, rate, channels, bitrate, duration and tags are known before a sample is read."""
    kind = Kind("mp3", "libmp3lame", rate=48_000, bit_rate=160_000)
    path = make(tmp_path / "in.mp3", kind, tone(48_000 * 2, rate=48_000), {"title": "Söng", "artist": "X"})

    with open_audio(path, limits=LIMITS) as audio:
        source, tags, duration_s = audio.source, audio.tags, audio.duration_s

    assert ("mp3", 48_000, 2, 160, "mp3") == (
        source.codec,
        source.samplerate,
        source.channels,
        source.bitrate_kbps,
        source.container,
    )
    assert pytest.approx(2.0, abs=1e-3) == duration_s == source.duration_s
    assert ("Söng", "X") == (tags["title"], tags["artist"])


def test_a_change_of_rate_and_channels_is_followed(tmp_path: Path):
    """A broadcast that turns from stereo at 44.1 kHz to mono at 22.05 kHz is heard to its end."""
    first = make(tmp_path / "a.aac", Kind("aac", "aac", muxer="adts"), tone(44_100))
    low = Kind("aac", "aac", rate=22_050, layout="mono", muxer="adts")
    second = make(tmp_path / "b.aac", low, tone(22_050, 1, 22_050))
    path = tmp_path / "in.aac"
    path.write_bytes(first.read_bytes() + second.read_bytes())

    heard = read(path)

    assert 88_200 <= len(heard) <= 88_200 + 3 * 1024 + 3 * 2048
    spectrum = np.abs(np.fft.rfft(heard[-44_100:, 1]))
    assert pytest.approx(220, abs=2) == spectrum.argmax()


def test_itunes_padding_is_truncated(tmp_path: Path):
    """Where iTunSMPB says how many samples count, no more of them are given."""
    kind = Kind("m4a", "alac", container_options={"movflags": "use_metadata_tags"})
    tags = {"iTunSMPB": f" 00000000 00000000 00000064 {44_000:016X} 00000000"}

    heard = read(make(tmp_path / "in.m4a", kind, tone(44_100), tags))

    assert 44_000 == len(heard)


@pytest.mark.parametrize(("name", "codec"), [("in.m4a", "alac"), ("in.flac", "flac"), ("in.mka", "flac")])
@pytest.mark.parametrize("samples", [22_050, 43_900, 90_000])
def test_a_tag_of_itunes_that_a_program_copied_changes_nothing(
    tmp_path: Path, name: str, codec: str, samples: int
):
    """The tag of another file, of another rate or length, leaves the sound as it is."""
    kind = Kind(Path(name).suffix[1:], codec, container_options={"movflags": "use_metadata_tags"})
    tags = {"iTunSMPB": f" 00000000 00000840 00000064 {samples:016X} 00000000"}

    assert 44_100 == len(read(make(tmp_path / name, kind, tone(44_100), tags)))


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(300), b"\r\n", b"\0"])
@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("in.ac3", "ac3", "ac3"),
        ("in.eac3", "eac3", "eac3"),
        ("in.rm", "ac3", "rm"),
        ("in.mpg", "mp2", "mpeg"),
        ("in.vob", "ac3", "vob"),
    ],
)
def test_tags_and_zeros_behind_the_last_frame_are_no_sound(
    tmp_path: Path, name: str, codec: str, form: str, behind: bytes
):
    """What programs append changes nothing of the sound; a file that was cut is still noticed."""
    path = make(tmp_path / name, Kind(form, codec), tone(44_100))
    plain = read(path)
    content = path.read_bytes()
    if form in {"mpeg", "vob"} and behind == b"\0":
        behind = b"\0\0\0"  # fewer may be the start of a packet that was cut off
    path.write_bytes(content + behind)

    assert np.array_equal(plain, read(path))

    if form != "rm":
        path.write_bytes(content[:-700])
        with pytest.raises(MediaError):
            read(path)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"\x7f" * 64, bytes(4096)])
def test_what_follows_the_end_that_an_au_declares_is_no_sound(tmp_path: Path, behind: bytes):
    """Tags and zeros behind the samples are left out, as in other containers."""
    samples = (tone(44_100) * 32_767).astype(">i2")
    head = b".snd" + b"".join(number.to_bytes(4, "big") for number in (28, samples.nbytes, 3, 44_100, 2))
    path = tmp_path / "in.au"
    path.write_bytes(head + bytes(4) + samples.tobytes() + behind)

    assert np.array_equal(samples.astype(np.float32) / 32_768, read(path))


def test_a_pause_in_the_time_stamps_is_kept_as_silence(tmp_path: Path):
    """A recording that pauses for a second keeps its length, with silence where nothing was recorded."""
    samples = tone(44_100 * 2)
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        for start, moved in ((0, 0), (44_100, 44_100)):
            for at in range(start, start + 44_100, 4410):
                frame = av.AudioFrame.from_ndarray(
                    (samples[at : at + 4410].reshape(1, -1) * 32767).astype(np.int16)
                )
                frame.sample_rate = 44_100
                frame.pts = at + moved
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    heard = read(path)

    assert pytest.approx(44_100 * 3, abs=100) == len(heard)
    assert not heard[45_000:87_000].any()
    assert heard[89_000:].any()


def test_a_text_file_is_no_mp3(tmp_path: Path):
    """A text file with an mp3's name cannot be decoded."""
    path = tmp_path / "notes.mp3"
    path.write_text("These are only words. " * 1000)

    with pytest.raises(UndecodableMedia):
        read(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 100_000, b"\xff" * 100_000, b"ID3\x04\0\0\0\0\0\0"],
    ids=["empty", "zeros", "ones", "tag alone"],
)
@pytest.mark.parametrize("suffix", ["mp3", "wav", "mp4", "bin"])
def test_nothing_is_no_media(data: bytes, suffix: str, tmp_path: Path):
    """Empty files and files of one byte value end as media that cannot be decoded."""
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(data)

    with pytest.raises((UndecodableMedia, NoAudioStream, EmptyAudio)):
        read(path)


@pytest.mark.parametrize("suffix", ["mp3", "aac", "ac3", "wav", "m4a", "amr", "opus", "ts", "bin"])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_media(suffix: str, seed: int, tmp_path: Path):
    """Random bytes under any name never become audio, not even a little of it."""
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(np.random.default_rng(seed).bytes(300_000))

    with pytest.raises(MediaError):
        read(path)


def test_a_silent_film_has_no_audio_stream(tmp_path: Path):
    """A video without a sound track says so."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(video.encode(None))

    with pytest.raises(NoAudioStream):
        open_audio(path, limits=LIMITS)


def test_a_stream_without_samples_is_empty(tmp_path: Path):
    """A wav with a header and nothing else is empty audio."""
    path = tmp_path / "in.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))

    with pytest.raises(EmptyAudio):
        read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_are_refused(value: float, tmp_path: Path):
    """NaN, infinities and absurd levels never reach the networks."""
    samples = tone(100_000)
    samples[70_000, 1] = value

    with pytest.raises(NonFiniteAudio):
        read(make(tmp_path / "in.wav", Kind("wav", "pcm_f32le", sample_format="flt"), samples))


def test_too_many_bytes_are_refused_before_opening(tmp_path: Path):
    """A file over the byte limit is not even opened."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(1000))

    with pytest.raises(TooLarge):
        open_audio(path, limits=MediaLimits(3600, 1000))


def test_a_declared_length_over_the_limit_is_refused_before_decoding(tmp_path: Path):
    """A file that declares more than the limit fails when it is opened."""
    path = make(tmp_path / "in.flac", Kind("flac", "flac"), tone(44_100 * 3))

    with pytest.raises(TooLong):
        open_audio(path, limits=MediaLimits(2, 10**9))


def test_an_undeclared_length_over_the_limit_is_refused_while_decoding(tmp_path: Path):
    """A stream that declares nothing stops at the limit, after the blocks before it."""
    path = make(tmp_path / "in.aac", Kind("aac", "aac", muxer="adts"), tone(44_100 * 6))
    blocks: list[np.ndarray] = []

    with open_audio(path, limits=MediaLimits(3, 10**9)) as audio, pytest.raises(TooLong):
        blocks.extend(audio)

    assert 44_100 * 2 < sum(map(len, blocks)) <= 44_100 * 3


def test_a_name_with_a_colon_is_only_a_name(tmp_path: Path):
    """A file name that looks like a protocol is read from the disk."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(1000)).rename(tmp_path / "concat:a|b.wav")

    assert 1000 == len(read(path))


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "mpd": '<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>',
}


@pytest.mark.parametrize("suffix", PLAYLISTS)
def test_a_playlist_reaches_nothing(suffix: str, tmp_path: Path):
    """Files that only point at other files or hosts are no media, even when what they point at is."""
    target = make(tmp_path / "target.wav", Kind("wav", "pcm_s16le"), tone(1000))
    path = tmp_path / f"in.{suffix}"
    path.write_text(PLAYLISTS[suffix].format(target=target))

    with pytest.raises(UndecodableMedia):
        read(path)


def test_a_picture_is_not_decoded(tmp_path: Path):
    """Cover art of an absurd size is left alone, and the song around it is read."""
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (65_500).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0" + bytes(4)
    body = b"\0image/png\0\x03\0" + huge
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    assert len(frame) < 128
    tag = b"ID3\x04\0\0" + bytes((0, 0, 0, len(frame))) + frame
    song = make(
        tmp_path / "song.mp3",
        Kind("mp3", "libmp3lame", container_options={"id3v2_version": "0"}),
        tone(44_100),
    )
    path = tmp_path / "in.mp3"
    path.write_bytes(tag + song.read_bytes())

    assert 44_100 == len(read(path))
