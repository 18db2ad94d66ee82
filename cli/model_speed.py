"""How fast jobs of a model ran, as the job store counts them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """What the jobs of a model took since the store was created.

    Attributes:
        audio_s: Audio that they separated, s.
        work_s: How long they ran, transfers included, s.
    """

    audio_s: float
    work_s: float

    @property
    def real_time_factor(self) -> float | None:
        """Return the seconds of audio that were separated in a second; None before the first job."""
        return self.audio_s / self.work_s if self.work_s else None

    def __str__(self) -> str:
        """Return it in a sentence."""
        factor = self.real_time_factor
        if factor is None:
            return "Speed: not known before a job has succeeded."
        return f"Speed: {factor:.3g} times real time, over {self.audio_s / 3600:.3g} h of audio."


def speed_of(model: str) -> ModelSpeed:
    """Ask the job store for the jobs that want a model, by its name or by a mode that it answers.

    Raises:
        click.ClickException: The store does not answer.
    """
    from stemline.cli.local_stack import open_store
    from stemline.runtime.settings import Settings
    from stemline.workers.model_choice import USUAL

    chosen = Settings().engine.mode_models
    wants = [model, *(mode for mode, usual in USUAL.items() if chosen.get(mode, usual) == model)]
    totals = open_store().statistics.read(0).totals

    def sum_s(what: str) -> float:
        return sum(totals.get(f"{what}_ms_of:{each}", 0) for each in wants) / 1000

    return ModelSpeed(sum_s("audio"), sum_s("work"))
