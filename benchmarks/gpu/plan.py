"""The steps in the order in which they run, and how long each may take; needs nothing but Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Time for everything, s.
BUDGET_S: Final = 480.0
#: Kept free for writing the results, s.
RESERVE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it measures, how long it may take, s, and whether it needs the card."""

    title: str
    limit_s: float
    needs_card: bool = True


#: The first five, whatever happens to the others, have time for all that they may take.
STEPS: Final = {
    "versions": Step("Versions", 30),
    "parity": Step("Equality with the processor", 70),
    "samples": Step("From samples to stems", 80),
    "batch_sizes": Step("Batches by size", 110),
    "songs": Step("Whole songs", 180),
    "out_of_memory": Step("Words of a full card", 60),
    "size_change": Step("A change of the batch's size", 60),
    "device_only": Step("The device alone", 60),
    "ceiling": Step("The network in torch", 60),
    "graphs": Step("Forms of the graph", 60),
    "provider_options": Step("Options of the CUDA provider", 90),
    "transform": Step("Fourier transforms", 60),
    "busy": Step("A stand-in card, with sixteen songs", 120, needs_card=False),
    "host": Step("The host, with networks that take no time", 180, needs_card=False),
}
