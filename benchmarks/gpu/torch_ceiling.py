"""The network's shapes in torch with random weights: the speed that a card could reach, and nothing else."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

CHANNELS = (16, 32, 64, 128, 256, 512)


def network(torch: Any, instruments: int = 2) -> Any:
    """Return a U-Net per instrument: six strided convolutions, six transposed ones, a dilated one."""
    nn = torch.nn

    class UNet(nn.Module):  # type: ignore[misc, name-defined]  # torch is imported by the caller
        def __init__(self) -> None:
            super().__init__()
            down = [2, *CHANNELS]
            self.down = nn.ModuleList(nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in pairwise(down))
            outs = [256, 128, 64, 32, 16, 1]
            ins = [512, 512, 256, 128, 64, 32]
            self.up = nn.ModuleList(
                nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1)
                for a, b in zip(ins, outs, strict=True)
            )
            self.last = nn.Conv2d(1, 2, 4, dilation=2, padding=3)

        def forward(self, x: Any) -> Any:
            skips = []
            for layer in self.down:
                x = layer(x)
                skips.append(x)
                x = nn.functional.leaky_relu(x, 0.2)
            x = skips.pop()
            for number, layer in enumerate(self.up):
                x = nn.functional.relu(layer(x))
                if number < len(self.up) - 1:
                    x = torch.cat([skips.pop(), x], 1)
            return torch.sigmoid(self.last(x))

    return nn.ModuleList(UNet() for _ in range(instruments)).eval()


def milliseconds(device: str, size: int, runs: int) -> list[float]:
    """Return the time of each run of a batch, ms, without TF32."""
    import torch  # noqa: PLC0415 - optional

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    model = network(torch).to(device)
    batch = torch.rand(size, 2, 512, 1024, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    taken = []
    with torch.inference_mode():
        for number in range(runs + 2):
            wait()
            started = time.perf_counter()
            for each in model:
                each(batch)
            wait()
            if number >= 2:
                taken.append((time.perf_counter() - started) * 1000)
    return taken
