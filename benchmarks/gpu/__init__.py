"""What a card does: one bounded run that measures everything docs/gpu.md needs."""
