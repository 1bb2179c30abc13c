"""Training energy: which batch size and which power limit a training that recurs should have.

    job = TraceJob(load_trace("codesign/zeus-v100"), wanted)      # or TrainingJob(...), which trains
    price = Price(eta=0.5, max_power=job.choices.max_power)
    policy = POLICIES.get("smooth")(job.choices, runs=50, rng=np.random.default_rng(0))
    history = recur(job, policy, price, runs=50, rng=np.random.default_rng(1))

A policy says which batch the next run has and whether a run goes on (`tune.base`); the power limit is found by profiling inside the first
epoch of each batch. One file is one policy.
"""

from mico_runner.registry import Registry

POLICIES = Registry("tuning policy", __name__)
register = POLICIES.register
