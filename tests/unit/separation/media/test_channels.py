"""Down-mix and up-mix."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.media.channels import downmix, downmix_matrix, to_stereo, upmix

LAYOUTS = {
    "3.0": ("FL", "FR", "FC"),
    "quad": ("FL", "FR", "BL", "BR"),
    "5.0": ("FL", "FR", "FC", "SL", "SR"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "6.1": ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
    "unknown": tuple(f"USR{number}" for number in range(6)),
    "more than any": tuple(f"USR{number}" for number in range(12)),
}


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
def test_full_scale_on_every_channel_does_not_clip(names: tuple[str, ...]):
    """A down-mix of full scale on all channels stays within full scale and reaches it."""
    mixed = to_stereo(np.ones((3, len(names)), dtype=np.float32), names)

    assert (3, 2) == mixed.shape
    assert pytest.approx(1.0, abs=1e-6) == mixed.max()


def test_surround_is_mixed_after_bs775():
    """5.1 comes down with centre and surrounds at -3 dB and without the effects channel."""
    left = downmix_matrix(LAYOUTS["5.1"])[:, 0]

    assert pytest.approx([1, 0, 0.7071, 0, 0.7071, 0], abs=1e-4) == (left / left[0]).tolist()


@pytest.mark.parametrize("names", [LAYOUTS["5.1"], LAYOUTS["7.1"]], ids=["5.1", "7.1"])
def test_sides_do_not_cross(names: tuple[str, ...]):
    """What is only on the left of a surround source is only on the left of the mix."""
    samples = np.zeros((4, len(names)), dtype=np.float32)
    samples[:, [index for index, name in enumerate(names) if name.endswith("L")]] = 0.5

    mixed = to_stereo(samples, names)

    assert (mixed[:, 0] > 0).all()
    assert not mixed[:, 1].any()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("beside", [(), ("FL", "FR")], ids=["alone", "beside stereo"])
def test_ambisonics_is_heard_from_its_side(order: int, beside: tuple[str, ...]):
    """A sound from the left is on the left alone, one from the right on the right, one in front on both."""
    names = tuple(f"AMBI{number}" for number in range((order + 1) ** 2)) + beside
    matrix = downmix_matrix(names)[: len(names) - len(beside)]
    for side, expected in ((1.0, (1, 0)), (-1.0, (0, 1)), (0.0, (0.5, 0.5))):
        sound = np.zeros(len(matrix), np.float32)
        sound[:2] = 1.0, side  # what the pressure and the difference of left and right record of it
        heard = sound @ matrix
        assert pytest.approx(expected, abs=1e-6) == (heard / heard.sum()).tolist()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("FL", "FR"), [0.5, 0.2]),
        (("BL", "BR"), [0.5, 0.2]),
        (("NONE", "NONE"), [0.5, 0.2]),
        (("FC", "FC"), [0.5, 0.2]),
        (("FC", "LFE"), [0.5, 0.5]),
        (("LFE", "FC"), [0.2, 0.2]),
        (("FL", "LFE"), [0.5, 0.0]),
        (("LFE", "FR"), [0.0, 0.2]),
    ],
)
def test_two_channels_go_where_their_names_say(names: tuple[str, ...], expected: list[float]):
    """Pairs, and channels whose places are not known, are the sides; the effects channel is left out."""
    heard = to_stereo(np.array([[0.5, 0.2]], np.float32), names)
    assert heard[0].tolist() == pytest.approx(expected)


def test_mono_is_duplicated():
    """A mono source is heard on both sides at its own level."""
    mono = np.array([[0.5], [-0.25]], dtype=np.float32)

    assert [[0.5, 0.5], [-0.25, -0.25]] == to_stereo(mono, ("FC",)).tolist()


def test_mono_output_is_the_mean():
    """A stem asked for in mono is the mean of its sides, and one of equal sides is unchanged."""
    assert [[0.5], [0.25]] == downmix(np.array([[1.0, 0.0], [0.25, 0.25]], dtype=np.float32), 1).tolist()


@pytest.mark.parametrize("channels", [4, 5, 6, 8])
def test_widened_stem_is_on_the_front_channels(channels: int):
    """More than two channels carry the stem unchanged on front left and right, and silence elsewhere."""
    stem = np.array([[0.5, -0.5]], dtype=np.float32)

    wide = upmix(stem, channels)

    assert [0.5, -0.5] + [0.0] * (channels - 2) == wide[0].tolist()
