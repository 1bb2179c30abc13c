"""Which kernel each layer gets, and why: the one place that decides it, asked by code generation, profiling and predictors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from mico_runner.codegen import RUNTIMES, SCRATCH, TILED, depthwise, dot_unit, dsp, micro, mla, mve, simd, tiling
from mico_runner.codegen.micro.base import OUTPUTS, MicroKernel
from mico_runner.codegen.program import Candidate, Choice, Form, stored_bits
from mico_runner.errors import UnknownName
from mico_runner.ops.c import Buffer, ConvGeometry
from mico_runner.ops.node import QNode, QType


class _Offer(NamedTuple):
    """Kernels of one family for a layer, best first; `make`: the form for the best of them, or why they do not take it."""

    candidates: list[Candidate]
    make: Callable[[], Form | str]
    reason: str


@dataclass(frozen=True)
class KernelPolicy:
    """Which families of kernels a program has, besides plain and depthwise ones, which every program may have.

    Attributes:
        simd: the kernel for wide registers.
        dot_unit: kernels for the dot-product unit.
        dsp: kernels that multiply halves of words in pairs.
        mla: kernels that multiply and add in one instruction.
        mve: kernels that multiply vectors of 16 bytes.
        tiles: the tiled kernels.
        tables: those of the tiled kernels that gather im2col columns may have tables in their scratch, too (`micro.candidates`).
    """

    simd: bool = False
    dot_unit: bool = False
    dsp: bool = False
    mla: bool = False
    mve: bool = False
    tiles: bool = False
    tables: bool = False

    @classmethod
    def of(cls, runtime: str, core: str | None = None, scratch: str = "two_rows") -> KernelPolicy:
        """That of programs for this runtime, core and scratch, as `codegen.generate` takes them.

        Raises:
            UnknownName: for a runtime or scratch that does not exist.
        """
        if runtime not in RUNTIMES:
            raise UnknownName("codegen runtime", runtime, RUNTIMES)
        if scratch not in SCRATCH:
            raise UnknownName("codegen scratch", scratch, SCRATCH)
        tiles = runtime in TILED
        return cls(
            simd=not tiles,
            dot_unit=core in dot_unit.CORES,
            dsp=tiles and core in dsp.CORES,
            mla=tiles and core in mla.CORES,
            mve=tiles and core in mve.CORES,
            tiles=tiles,
            tables=scratch == "tables",
        )

    def choose(self, node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Choice:
        """The kernel of a convolution or linear layer.

        Args:
            rows: int8 (outputs, taps), its weights in the kernel's order.
        """
        offers = self._offers(node, rows, geometry, source, output)
        form, refusals = None, []
        while offers and form is None:
            made = offers[0].make()
            if isinstance(made, Form):
                form = made
            else:
                refusals.append(made)
                offers.pop(0)
        candidates = [candidate for offer in offers for candidate in offer.candidates]
        reasons = [offer.reason for offer in offers[:1]] + refusals
        if not reasons:
            reasons = ["groups of several channels" if geometry.groups > 1 else "the program has no other kernels"]
        return Choice(node.name, (*candidates, Candidate(node.op)), "; ".join(reasons), form)

    def micro_kernels(
        self,
        weight_bits: int,
        activation: QType,
        taps: int,
        outputs: int,
        positions: int,
        *,
        single: bool,
        padded: bool = False,
        whole: bool = False,
    ) -> list[tuple[MicroKernel, float]]:
        """The micro-kernels that hold a layer, and its estimated cycles, the fastest first.

        Args:
            weight_bits, padded: as `micro.candidates`.
            taps, outputs, positions, whole: as `MicroKernel.cycles`.
            single: whether the layer's window is a single pixel.
        """
        found = micro.candidates(weight_bits, activation, padded, self.tables or single)
        holding = ((k, k.cycles(taps, outputs, positions, whole)) for k in found if k.holds(taps))
        return sorted(holding, key=lambda pair: pair[1])

    def _offers(
        self, node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer
    ) -> list[_Offer]:
        """Best first. A grouped layer has none but for depthwise kernels."""
        layer = (node, rows, geometry, source, output)
        if geometry.groups > 1:
            make = partial(depthwise.form, node, geometry, source, output)
            alone = geometry.groups == geometry.in_c == geometry.out_c
            if not alone:
                return []
            offers = [_Offer([Candidate("depthwise")], make, "every channel is a group")]
            if self.simd:
                wide = partial(simd.depthwise, node, geometry, source, output)
                offers.insert(0, _Offer([Candidate("depthwise_simd")], wide, "wide registers"))
            if self.dsp or self.mve:
                kernel = "depthwise_mve" if self.mve else "depthwise_dsp"
                make = partial(dsp.depthwise, node, geometry, source, output, kernel)
                offers.insert(0, _Offer([Candidate(kernel)], make, "four channels at a time"))
            return offers
        offers = []
        if self.simd:
            offers.append(_Offer([Candidate("conv2d_simd")], partial(simd.form, *layer), "wide registers"))
        if self.dot_unit:
            offers.append(_Offer([Candidate("conv2d_dot")], partial(dot_unit.form, *layer), "the dot-product unit"))
        if self.mve:
            offers.append(_Offer([Candidate("conv2d_mve")], partial(mve.form, *layer), "vectors of 16 bytes"))
        if self.dsp:
            offers.append(_Offer([Candidate("conv2d_dsp")], partial(dsp.form, *layer), "products in pairs"))
        if self.mla:
            offers.append(_Offer([Candidate("conv2d_mla")], partial(mla.form, *layer), "multiply and add"))
        if self.tiles:
            offers.append(self._tiled(*layer))
        return offers

    def _tiled(self, node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> _Offer:
        bits, taps, outputs = stored_bits(node), geometry.taps, geometry.out_c
        if outputs < OUTPUTS:
            return _Offer([], lambda: f"not tiled: fewer than {OUTPUTS} outputs", "")
        found = self.micro_kernels(
            bits,
            source.type,
            taps,
            outputs,
            geometry.positions,
            single=geometry.kernel == (1, 1),
            padded=geometry.padded,
            whole=tiling.whole_words(geometry),
        )
        if not found:
            return _Offer([], lambda: f"not tiled: no micro-kernel has rows of {taps} weights of {bits} bits", "")
        candidates = [Candidate(f"conv2d_{tiling.variant(k, geometry)}", cycles) for k, cycles in found]
        make = partial(tiling.form, node, rows, geometry, source, output, found[0][0])
        return _Offer(candidates, make, "fewest estimated cycles")
