"""Cycles of designs of high-level synthesis, from few labels: features of pragmas, loops and program graphs, and their predictors.

kernels = {name: validation.prepare(designs) for name, designs in load_designs("codesign/hlsyn").items()}
kernel = kernels["gemm-ncubed"]
predictor.few(kernel.own, None, labelled, kernel.cycles[labelled], seed=0)     # log2 of the cycles of all its designs
"""
