"""The player's sound, measured sample by sample in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from stemline.separation.media.encode import StemWriter
from stemline.separation.media.types import OutputSpec, SourceInfo
from stemline.testing.client import BUCKET, submission
from stemline.testing.processes import eventually
from tests.browser.service import Service
from tests.browser.worker import tone, wav
from tests.ffmpeg_files import ffmpeg
from tests.support.rounds import rounds

pytestmark = pytest.mark.slow

NULL_TEST = Path(__file__).with_name("null_test.js").read_text()
PIECES = Path(__file__).with_name("pieces.js").read_text()
DRIFT = Path(__file__).with_name("drift.js").read_text()
SOURCE = SourceInfo("mp3", 44_100, 2, 192, "mp3", None)


@pytest.fixture
def console(page: Page, running: Service) -> Page:
    """A page of the console's origin."""
    page.goto(running.url)
    return page


def test_tracks_do_not_drift(console: Page) -> None:
    """Over random operations all tracks play the same sample, the one that the clock shows, to within one."""
    operations = rounds(120, 1000)
    found = console.evaluate(DRIFT, {"operations": operations, "isLive": False, "keepsPitch": False})
    assert found["compared"] > operations
    assert found["apart"] <= 2**-15  # one step of 16 bits: browsers scale them in slightly different ways
    assert found["wrong"] <= 1


def test_tracks_do_not_drift_where_the_pitch_is_kept(console: Page) -> None:
    """At another speed with the same pitch tracks stay together too, and never leave the clock by 17 ms."""
    operations = rounds(60, 1000)
    found = console.evaluate(DRIFT, {"operations": operations, "isLive": False, "keepsPitch": True})
    assert found["compared"] > operations
    assert found["apart"] <= 2**-15
    assert found["wrong"] <= 750  # how far a grain may be moved, 700 samples, and roundings


def test_tracks_do_not_drift_while_they_are_heard(console: Page) -> None:
    """The same holds in a context that runs in real time."""
    found = console.evaluate(DRIFT, {"operations": rounds(60, 1000), "isLive": True, "keepsPitch": True})
    assert found["sounding"] > 1000
    assert found["apart"] <= 2**-15  # one step of 16 bits: browsers scale them in slightly different ways


def test_the_stems_null_the_mix(page: Page, running: Service) -> None:
    """Stems add up to the mix to within -90 dBFS, decoded, rendered, and read in pieces."""
    running.s3.put_object(Bucket=BUCKET, Key="in/null.wav", Body=wav(tone(5)))
    output = "".join(
        f"<{name}>out/null/{name}.wav</{name}>" for name in ("Object", "AuObject", "BassObject", "DrumObject")
    )
    config = "<AudioConfig><Codec>wav</Codec></AudioConfig>"
    body = submission(source="in/null.wav", mode="MusicMode", config=config, output=output)
    job = running.server.client.post("/jobs", body).text("JobsDetail/JobId")
    eventually(lambda: running.server.store.jobs.find(job).result is not None, 180, "the end of the job")
    page.goto(running.link(f"?view=job&job={job}"))
    expect(page.get_by_role("heading", name="Player")).to_be_visible()
    found = page.evaluate(NULL_TEST, job)
    assert ([], 5 * 44_100) == (found["failed"], found["length"])
    assert found["db"] <= -90
    assert found["rendered"] <= -90
    assert found["apart"] <= 2**-15  # one step of 16 bits: browsers scale them in slightly different ways


def test_long_songs_of_every_codec_are_read_in_pieces(page: Page, running: Service, tmp_path: Path) -> None:
    """A piece of an mp3, aac or flac stem holds the samples that the whole file has at this place."""
    seconds, urls = 45, []
    samples = (tone(seconds) / 2**15).astype(np.float32)
    for codec in ("mp3", "aac", "flac"):
        path = tmp_path / f"stem.{codec}"
        writer = StemWriter(OutputSpec(path, codec), tags={"title": "Long"}, source=SOURCE)
        for start in range(0, len(samples), 44_100):
            writer.write(samples[start : start + 44_100])
        writer.close()
        running.s3.put_object(Bucket=BUCKET, Key=path.name, Body=path.read_bytes())
        named = {"Bucket": BUCKET, "Key": path.name}
        urls.append(running.s3.generate_presigned_url("get_object", Params=named))
    page.goto(running.url)
    found = page.evaluate(PIECES, {"urls": urls, "seconds": seconds, "isPlayed": True})
    assert ([], seconds * 44_100) == (found["missing"], found["length"])
    assert found["saved"] < 1e-5  # the mix as it is set, saved piece by piece
    assert (True, []) == (found["hasPieces"], found["failed"])
    assert found["heard"] >= 0.05  # in the second piece
    mp3, aac, flac = found["apart"]
    assert max(mp3, flac) < 1e-6
    assert aac < 2e-3  # its decoder fills bands with noise of its own; a sample apart would be 1e-2


#: Files that FFmpeg makes: the end of the name, the rate, options.
#: Without noise of the decoder's own (PNS), which would hide what is compared.
OTHERS = (
    ("m4a", 44_100, ("-c:a", "aac", "-aac_pns", "0")),
    ("faststart.m4a", 48_000, ("-c:a", "aac", "-aac_pns", "0", "-movflags", "+faststart")),
    (
        "mp4",
        48_000,
        (
            "-f",
            "lavfi",
            "-i",
            "testsrc=r=10:s=64x64",
            "-c:v",
            "mpeg4",
            "-c:a",
            "aac",
            "-aac_pns",
            "0",
            "-shortest",
        ),
    ),
    ("mov", 32_000, ("-c:a", "aac", "-aac_pns", "0", "-ac", "1")),
    ("flac", 48_000, ()),
    ("mp3", 22_050, ()),
    ("wav", 96_000, ()),
)


@pytest.mark.thorough
def test_long_songs_of_other_rates_and_containers_are_read_in_pieces(
    page: Page, running: Service, tmp_path: Path
) -> None:
    """Pieces of files of every rate, and of AAC in MP4, lie where the whole file has them."""
    seconds, urls = 45, []
    (tmp_path / "song.wav").write_bytes(wav(tone(seconds)))
    for name, rate, options in OTHERS:
        key = f"other-{rate}.{name}"
        inputs = options[: options.index("-c:v")] if "-c:v" in options else ()
        ffmpeg(tmp_path, "-i", "song.wav", *inputs, *options[len(inputs) :], "-ar", str(rate), key)
        running.s3.put_object(Bucket=BUCKET, Key=key, Body=(tmp_path / key).read_bytes())
        urls.append(running.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}))
    page.goto(running.url)
    found = page.evaluate(PIECES, {"urls": urls, "seconds": seconds, "isPlayed": False})
    assert [] == found["missing"]
    assert seconds * 44_100 <= found["length"] < seconds * 44_100 + 4096
    same, *converted = found["apart"]
    assert same < 1e-6
    # Browsers pass another share of the noise at the edge of the band; a sample apart would be 2e-2.
    assert max(converted) < 1e-2
