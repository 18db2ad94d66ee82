"""The code that a job fails with."""

from __future__ import annotations

import pytest

from stemline.jobs.errors import SourceNotFound
from stemline.separation import errors
from stemline.workers.failures import failure_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoAudioStream, "InvalidContent"),
        (errors.UndecodableMedia, "InvalidContent"),
        (errors.TruncatedMedia, "InvalidContent"),
        (errors.DamagedMedia, "InvalidContent"),
        (errors.EmptyAudio, "InvalidContent"),
        (errors.NonFiniteAudio, "InvalidContent"),
        (errors.OptionError, "InvalidArgument"),
        (errors.TooLong, "InvalidArgument"),
        (errors.TooLarge, "InvalidArgument"),
        (errors.WeightsMissing, "WeightsUnavailable"),
        (errors.WeightsCorrupt, "WeightsUnavailable"),
        (errors.DeviceError, "DeviceUnavailable"),
        (errors.DeviceOutOfMemory, "DeviceUnavailable"),
        (errors.BrokenNetwork, "ModelFailed"),
        (errors.DiskFull, "InternalError"),
        (errors.SeparationError, "InternalError"),
        (SourceNotFound, "ResourceNotFound"),
    ],
)
def test_every_kind_of_error_has_its_code(error: type[errors.SeparationError | SourceNotFound], code: str):
    """Unusable media, options, limits, weights and devices have codes of their own; the rest is internal."""
    assert code == failure_code(error())
