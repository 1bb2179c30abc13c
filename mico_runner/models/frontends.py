"""Front ends: what a network does with raw samples before its first layer, as modules that are captured and deployed with it."""

from __future__ import annotations

import math

import torch
from torch import nn

from mico_runner.errors import UsageError
from mico_runner.ops.bands import Bands
from mico_runner.ops.log_mel import log_mel

RANGE = 2.0**32  # of the energies of 16 bits: 96 dB


class LogMel(nn.Module):
    """Sound (N, 1, samples) of -1 .. 1 to log energies (N, 1, frames, bands): ln(1 + E / floor), see `ops.bands.Bands`.

    Silence is 0, nothing is below it. There is nothing to train in it, and gradients end at it.

    Args:
        sample_rate: samples a second.
        frame, hop: in samples; frames lie within the samples, 1 + (samples - frame) // hop of them.
        low, high: Hz, of all bands together; `high` is half the sample rate by default.
        floor: energy that counts as silence; by default 96 dB, the range of 16 bits, below a sine of amplitude 1, (frame / 4)^2 / 2^32.

    Raises UsageError: see `Bands`.
    """

    def __init__(
        self,
        sample_rate: int,
        frame: int,
        hop: int,
        bands: int,
        low: float = 20.0,
        high: float | None = None,
        floor: float | None = None,
    ) -> None:
        super().__init__()
        high = sample_rate / 2 if high is None else high
        floor = (frame / 4) ** 2 / RANGE if floor is None else floor
        self.of = Bands(sample_rate, frame, hop, bands, float(low), float(high), float(floor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        of = self.of
        found: torch.Tensor = log_mel(x, of.rate, of.frame, of.hop, of.bands, of.low, of.high, of.floor)
        return found

    def extra_repr(self) -> str:
        return repr(self.of)


class MFCC(nn.Sequential):
    """Mel-frequency cepstral coefficients (N, 1, frames, coefficients): the discrete cosine transform (II, orthonormal) of `LogMel`.

    The transform is a linear layer without bias, which is quantised as any other and whose bits can be chosen; it is not trained.
    """

    def __init__(self, mel: LogMel, coefficients: int) -> None:
        bands = mel.of.bands
        if not 1 <= coefficients <= bands:
            raise UsageError(f"MFCC: coefficients is {coefficients}; allowed: 1 .. {bands}, the number of bands")
        cosines = nn.Linear(bands, coefficients, bias=False)
        angle = math.pi / bands * (torch.arange(bands) + 0.5) * torch.arange(coefficients)[:, None]
        scale = torch.full((coefficients, 1), math.sqrt(2 / bands))
        scale[0] = math.sqrt(1 / bands)
        cosines.weight = nn.Parameter(torch.cos(angle) * scale, requires_grad=False)
        super().__init__(mel, cosines)


def normalise(model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Make `model` take inputs (N, C, ...) that are not normalised: (x - mean) / std, per channel or one for all, is its first step.

    A hook, so that its parameters keep their names. It is captured and deployed with the network, which then takes pixels as they are.
    """
    if all(value == 0 for value in mean) and all(value == 1 for value in std):
        return
    factor = 1 / torch.tensor(std, dtype=torch.float64)
    model.register_buffer(_FACTOR, factor.float(), persistent=False)
    model.register_buffer(_TERM, (-torch.tensor(mean, dtype=torch.float64) * factor).float(), persistent=False)
    model.register_forward_pre_hook(_normalised)


_FACTOR, _TERM = "input_factor", "input_term"


def _normalised(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    x, *others = inputs
    factor, term = (model.get_buffer(name).view(-1, *[1] * (x.ndim - 2)) for name in (_FACTOR, _TERM))
    return torch.addcmul(term, x, factor), *others
