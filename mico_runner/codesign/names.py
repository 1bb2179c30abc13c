"""Names that the spec's rules need without importing what they stand for."""

HEURISTIC_NAMES = ("random", "nsga2", "cma")
