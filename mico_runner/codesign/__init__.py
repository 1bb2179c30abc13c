"""Network and accelerator designed together: exact searches with a certificate, and heuristics beside them.

knapsack.solve(groups, budgets)      # one option of each group, least cost within budgets, with its proof
tables.read(costs, layers, choices)  # layers whose costs stand in CSV files
heuristics.HEURISTICS["cma"](genes, evaluations, seed)
"""
