"""Separates a media file into encoded stems; decoding, inference and encoding run concurrently."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemline.separation.decoder import Audio, Decoder
from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import Cancelled, OutputError
from stemline.separation.extension import Extension
from stemline.separation.media.codecs import expected_bytes
from stemline.separation.media.decode import open_audio
from stemline.separation.media.encode import StemWriter
from stemline.separation.media.types import EncodedStem, MediaLimits, OutputSpec
from stemline.separation.monitor import Monitor
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.separators import measured, open_separator
from stemline.separation.shares import Share
from stemline.separation.stream_separator import StageTimer
from stemline.separation.threads import BackgroundConsumer, Prefetcher
from stemline.separation.waveform import Waveform
from stemline.separation.windows import Block

#: Decoded blocks that are queued for the networks, and pieces of a stem that are queued for its encoder.
_DECODED_DEPTH = 8
_ENCODER_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What a separation did.

    Attributes:
        duration_s: Length of the decoded source, seconds.
        samples: The same in samples at 44,100 Hz.
        seconds: Work per stage (decode, transform, infer, invert, encode), summed over threads, and the
            elapsed time as `total`. An engine that transforms by itself does so in `infer`.
        device: What the networks ran on.
        stems: The written files, by instrument.
        waveforms, mix_waveform: Of each stem before its encoding, by instrument, and of the source.
        null_test_db: The largest sample of the stems' sum less the mix, dBFS, with stems as the encoders take
            them: rounded and clipped, before a lossy codec; None where they do not add up by construction.
        shares: What each stem has of the mix, by instrument.
        residual_db: What the stems that the network makes independently leave of the mix's energy, dB; None
            where they add up by construction or are not all of the mix.
    """

    duration_s: float
    samples: int
    seconds: Mapping[str, float]
    device: str
    stems: Mapping[str, EncodedStem]
    waveforms: Mapping[str, Waveform] = field(default_factory=dict)
    mix_waveform: Waveform | None = None
    null_test_db: float | None = None
    shares: Mapping[str, Share] = field(default_factory=dict)
    residual_db: float | None = None


def separate_file(
    engine: LoadedEngine,
    source: Path,
    outputs: Mapping[str, OutputSpec],
    *,
    limits: MediaLimits,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    pause: Callable[[], None] | None = None,
    extension: Extension = Extension.AVERAGE,
    context: int = 0,
    refine: bool = False,
    level: int = 0,
    track: str | None = None,
    keep_video_origin: bool = False,
    decoder: Decoder | None = None,
    expect: Callable[[int], None] | None = None,
) -> Report:
    """Separate a media file into one file per stem. Several calls may share one engine.

    Args:
        engine: The loaded model.
        source: A local media file.
        outputs: What to write, by instrument (vocals, accompaniment, ...); no other stems are made.
        limits: How long and how large the source may be.
        progress: Called after each piece with the fraction that is done, 0 to 1, where the duration of the
            source is known; always called with 1 at the end.
        cancelled: Called every 0.2 s or so, also while a network works on a segment; returning True ends the
            separation.
        pause: Called after each piece; it may block, and raise what ends the separation.
        extension: What happens above 11 kHz, for Spleeter's networks.
        context: Frames that a segment sees of its neighbours; 0 is exactly Spleeter. For its networks only.
        refine: Whether a multichannel Wiener filter follows the networks; for Spleeter's only.
        level: Where several separations share a device, segments of a higher level go first.
        track: Number, from 0, or language of the audio track; None is the default one.
        keep_video_origin: Whether audio that starts after the video is preceded by silence.
        decoder: Decodes in a child process with limits; without it, the source is trusted and decoded here.
        expect: Called before anything is written with about how many bytes the stems will take, where the
            duration of the source is known; raises what ends the separation.

    Raises:
        Cancelled: `cancelled` returned True.
        SeparationError: Anything else failed. In both cases nothing new is left, and files that were there
            are as they were.
    """
    started = time.perf_counter()
    timer = StageTimer()
    progress, pause = progress or (lambda _: None), pause or (lambda: None)

    def open_source() -> Audio:
        return _open(decoder, cancelled, source, limits, track, keep_video_origin=keep_video_origin)

    # The callbacks of `partial` delete the outputs, unless all of them are complete.
    with contextlib.ExitStack() as open_, contextlib.ExitStack() as partial:
        audio = open_.enter_context(open_source())
        separator = open_.enter_context(
            open_separator(engine, extension=extension, context=context, refine=refine, level=level)
        )
        moments = measured(separator, open_source, cancelled)
        writers = {name: _writer(spec, audio, timer, partial) for name, spec in outputs.items()}
        if expect is not None and audio.duration_s:
            expect(sum(expected_bytes(writer.encoding, audio.duration_s) for writer in writers.values()))
        decoded = Prefetcher(_timed(audio, timer), depth=_DECODED_DEPTH, name="decode")
        open_.callback(decoded.close)
        open_.callback(audio.interrupt)
        taken = {name: writer.encoding for name, writer in writers.items()}
        monitor = Monitor(taken, is_complete=separator.adds_up(outputs), parts=separator.parts)
        pieces = separator.separate(
            monitor.watch(decoded),
            instruments=tuple(outputs),
            timer=timer,
            moments=moments,
            cancelled=cancelled,
        )
        open_.callback(pieces.close)
        samples = 0
        for piece in pieces:
            if cancelled is not None and cancelled():
                raise Cancelled
            for name, writer in writers.items():
                writer.put(piece[name])
            monitor.feed(piece)
            samples += len(next(iter(piece.values())))
            if audio.duration_s:
                progress(min(samples / SAMPLE_RATE / audio.duration_s, 0.99))
            pause()
        for writer in writers.values():
            writer.end()
        stems = {name: writer.result() for name, writer in writers.items()}
        # Only when all stems are complete do they replace what an earlier separation left.
        for writer in writers.values():
            writer.publish()
        partial.pop_all()
    progress(1.0)
    timer.add("total", started)
    return Report(
        samples / SAMPLE_RATE,
        samples,
        dict(timer.seconds),
        engine.device,
        stems,
        monitor.waveforms(),
        monitor.mix_waveform(),
        monitor.null_test_db(),
        monitor.shares(),
        monitor.residual_db(),
    )


def _open(
    decoder: Decoder | None,
    cancelled: Callable[[], bool] | None,
    source: Path,
    limits: MediaLimits,
    track: str | None,
    *,
    keep_video_origin: bool,
) -> Audio:
    """Open the source, in a child process if there is a decoder."""
    if decoder is None:
        return open_audio(source, limits=limits, track=track, keep_video_origin=keep_video_origin)
    return decoder.open(
        source, limits=limits, track=track, keep_video_origin=keep_video_origin, cancelled=cancelled
    )


def _timed(blocks: Iterable[Block], timer: StageTimer) -> Iterator[Block]:
    """Yield the blocks, and add the time that each takes to the stage `decode`."""
    source = iter(blocks)
    while True:
        clock = time.perf_counter()
        block = next(source, None)
        timer.add("decode", clock)
        if block is None:
            return
        yield block


class _EncoderThread:
    """The writer of one stem, in a thread of its own; `encoding` is what it writes."""

    def __init__(self, writer: StemWriter, timer: StageTimer) -> None:
        self.encoding = writer.encoding
        self._writer = writer
        self._timer = timer
        self._stem: EncodedStem | None = None
        self._consumer = BackgroundConsumer(self._take, depth=_ENCODER_DEPTH, name="encode")

    def put(self, piece: Block) -> None:
        """Queue the stem's next samples."""
        self._consumer.put(piece)

    def end(self) -> None:
        """Queue the end of the stem, without waiting for it."""
        self._consumer.put(None)

    def result(self) -> EncodedStem:
        """Wait for the encoder and return what it wrote, which is not in its place yet."""
        self._consumer.finish()
        if self._stem is None:
            raise OutputError
        return self._stem

    def publish(self) -> None:
        """Put the stem in its place."""
        self._writer.publish()

    def abort(self) -> None:
        """Stop encoding and remove what was written."""
        self._consumer.close()
        self._writer.abort()

    def _take(self, piece: Block | None) -> None:
        clock = time.perf_counter()
        if piece is None:
            self._stem = self._writer.finish()
        else:
            self._writer.write(piece)
        self._timer.add("encode", clock)


def _writer(
    spec: OutputSpec, audio: Audio, timer: StageTimer, partial: contextlib.ExitStack
) -> _EncoderThread:
    """Start the encoder of one stem, and let `partial` delete its file."""
    writer = StemWriter(spec, tags=audio.tags, source=audio.source)
    partial.callback(writer.abort)
    thread = _EncoderThread(writer, timer)
    partial.callback(thread.abort)
    return thread
