"""What decoding in a child process costs, against decoding in the worker itself: `make bench-decoding`."""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
from av.audio.frame import AudioFrame

from benchmarks.codecs import LIMITS, SECONDS, blocks, song
from benchmarks.report import Report
from stemline.models.loading import load_engine
from stemline.separation.decoder import Decoder
from stemline.separation.media import OutputSpec, open_audio
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.pipeline import separate_file

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def write_mp3(path: Path) -> Path:
    """Write the song at 192 kbit/s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="stereo")
        stream.codec_context.bit_rate = 192_000
        for number, block in enumerate(blocks(song())):
            frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, number * len(block)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def used_s(decoder: Decoder) -> float:
    """Return the processor time of this process, the decoder's server and the children that it reaped."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    server = decoder._server  # noqa: SLF001 - the figure is about what it starts
    assert server is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return own.ru_utime + own.ru_stime + sum(map(int, fields[11:15])) * _TICK_S


def compare(
    name: str, decoder: Decoder, work: Callable[[Decoder | None], None], pairs: int
) -> tuple[str, ...]:
    """Run a work in turns without and with the decoder; return the row of the table."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * pairs + 2):
        gc.collect()
        before = used_s(decoder)
        work(decoder if number % 2 else None)
        if number > 1:  # the first of each warms up
            times[number % 2].append(used_s(decoder) - before)
    here, there = map(statistics.median, times)
    spread = max(max(each) - min(each) for each in times)
    return (name, f"{here:.2f}", f"{there:.2f}", f"{there / here - 1:+.1%}", f"{spread:.2f}", str(pairs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--decode-only", action="store_true")
    asked = parser.parse_args()
    title = f"Decoding {SECONDS} s of mp3 in the worker and in a child: processor seconds, medians"
    report = Report("decoding", title, ["benchmarks/decoding.py"])
    decoder = Decoder()
    decoder.start()
    with tempfile.TemporaryDirectory() as name:
        source = write_mp3(Path(name) / "song.mp3")

        def decode(isolated: Decoder | None) -> None:
            with (
                isolated.open(source, limits=LIMITS)
                if isolated
                else open_audio(source, limits=LIMITS) as audio
            ):
                for _ in audio:
                    pass

        rows = [compare("decode", decoder, decode, 2 * asked.pairs)]
        if not asked.decode_only:
            engine = load_engine("2stems", device="cpu")
            outputs = {
                stem: OutputSpec(Path(name) / f"{stem}.wav", "wav") for stem in ("vocals", "accompaniment")
            }

            def separate(isolated: Decoder | None) -> None:
                separate_file(engine, source, outputs, limits=LIMITS, decoder=isolated)

            rows.append(compare("decode, separate, write two wav stems", decoder, separate, asked.pairs))
    decoder.close()
    head = ("work", "in the worker, s", "in a child, s", "difference", "largest spread, s", "runs of each")
    report.table("rows", head, rows)
    report.write()


if __name__ == "__main__":
    main()
