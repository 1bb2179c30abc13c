"""gptq: rounding that makes up for its errors."""

from __future__ import annotations

import numpy as np

from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Problem, Rounding


@register("gptq")
class Gptq(Rounding):
    """Column by column, the error of each spread over those not yet rounded (Frantar et al., ICLR 2023): `quant.compensation`."""

    def layer(self, problem: Problem, scales: np.ndarray, bits: float) -> np.ndarray:
        return problem.compensating(scales, bits)
