"""What a job records about its files."""

from __future__ import annotations

from stemline.separation.media import AudioInfo, FormatInfo, MediaInfo
from stemline.workers.media_info import recorded_media_info


def test_the_record_is_the_specification_s_sample():
    """The numbers of the specification's example become its text, in its order."""
    info = MediaInfo(
        FormatInfo(192.213, 30.0408163, "MP2/3 (MPEG audio layer 2/3)", "mp3", 0, 1, 721_771, 0.0250567),
        AudioInfo(
            192.0, 2, "stereo", "MP3 (MPEG audio layer 3)", "mp3", "0x0000", "[0][0][0][0]", "1/44100",
            30.0408163, 0, "und", "fltp", 44_100, 0.0250567, "1/14112000",
        ),
    )  # fmt: skip

    recorded = recorded_media_info([info, info])

    assert [
        ("Bitrate", "192.213000"), ("Duration", "30.040816"),
        ("FormatLongName", "MP2/3 (MPEG audio layer 2/3)"), ("FormatName", "mp3"), ("NumProgram", "0"),
        ("NumStream", "1"), ("Size", "721771"), ("StartTime", "0.025057"),
    ] == list(recorded["Format"].items())  # fmt: skip
    first, second = recorded["Stream"]["Audio"]
    assert [
        ("Bitrate", "192.000000"), ("Channel", "2"), ("ChannelLayout", "stereo"),
        ("CodecLongName", "MP3 (MPEG audio layer 3)"), ("CodecName", "mp3"), ("CodecTag", "0x0000"),
        ("CodecTagString", "[0][0][0][0]"), ("CodecTimeBase", "1/44100"), ("Duration", "30.040816"),
        ("Index", "0"), ("Language", "und"), ("SampleFmt", "fltp"), ("SampleRate", "44100"),
        ("StartTime", "0.025057"), ("Timebase", "1/14112000"),
    ] == list(first.items())  # fmt: skip
    assert first == second
