"""HAQ: an agent that walks through the layers and learns which bits are rewarded (DDPG)."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import nn

from mico_runner.search import register
from mico_runner.search.base import Searcher
from mico_runner.search.problem import Problem

_HIDDEN = 300  # units of the two hidden layers of actor and critic
_RATES = (1e-4, 1e-3)  # of the two, for Adam
_SOFT = 0.01  # of a step that the target networks follow
_BATCH = 64
_MEMORY = 2000  # steps kept
_NOISE, _DECAY = 0.5, 0.99  # standard deviation of the exploration, and its factor an episode after the warm-up
_TRIES = 20  # noisier repetitions of an episode that led to a configuration known already

Step = tuple[np.ndarray, float, float, np.ndarray, float]  # state, action, reward, next state, 1 unless the last


@register("haq", params={"warmup": {"type": "integer", "min": 1, "default": 20}})
class Haq(Searcher):
    """Reinforcement learning (DDPG) of a network's bits, layer by layer.

    K. Wang, Z. Liu, Y. Lin, J. Lin, S. Han, "HAQ: Hardware-Aware Automated Quantization with Mixed Precision", CVPR 2019. An episode
    is two steps a layer, weights then activations; an action in 0 to 1 becomes the bits; beyond a limit, bits are lowered
    from the last layer on until it is kept; all steps of an episode share its reward. Actor and critic have two layers of 300, targets
    follow by 0.01, gamma is 1, noise 0.5 x 0.99^episode after a warm-up of random actions. We differ: a problem knows its layers by
    their costs, so a state is each cost's share of the network instead of channels, kernel and stride; the warm-up takes at most
    half of the budget (the original has 600 episodes); and the reward is the loss of the start minus that of the episode.
    """

    def __init__(
        self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator, warmup: int = 20
    ) -> None:
        super().__init__(problem, feasible_start, rng)
        space = problem.space
        self._warmup = min(warmup, max(1, problem.budget.evaluations // 2))
        self._steps = _descriptions(problem)
        pairs = np.array(space.choices, dtype=float)
        self._levels = [[np.unique(pairs[list(allowed), axis]) for axis in (0, 1)] for allowed in space.allowed]
        self._pairs = pairs
        self._memory: deque[Step] = deque(maxlen=_MEMORY)
        self._asked: np.ndarray = np.empty(0)  # actions of the episode that is being evaluated
        self._unit = 0.0
        size = self._steps.shape[1] + 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            self._actor, self._critic = _network(size, nn.Sigmoid()), _network(size + 1, nn.Identity())
            self._followers = _network(size, nn.Sigmoid()), _network(size + 1, nn.Identity())
        for made, follower in zip((self._actor, self._critic), self._followers, strict=True):
            follower.load_state_dict(made.state_dict())
        self._optimisers = [
            torch.optim.Adam(made.parameters(), lr=rate, fused=True)
            for made, rate in zip((self._actor, self._critic), _RATES, strict=True)
        ]

    def ask(self, n: int) -> np.ndarray:
        self._asked = np.empty(0)
        if not len(self.configs):
            return self.start[None]
        for attempt in range(_TRIES):
            actions = self._walk(attempt)
            config = self._lowered(self._configuration(actions))
            if len(self.new(config[None])) and self.problem.cheap_feasible(config[None])[0]:
                self._asked = actions
                return config[None]
        return self.sampler.draw(1, self.seen)

    def tell(self, configs: np.ndarray, metrics: dict[str, np.ndarray]) -> None:
        super().tell(configs, metrics)
        if len(self._asked) and len(configs):
            self._remember(configs[-1])
            if len(self.configs) > self._warmup:
                for _ in range(len(self._steps)):
                    self._learn()

    def _walk(self, attempt: int) -> np.ndarray:
        """(2 layers,) actions of an episode; the more attempts failed, the noisier."""
        steps = len(self._steps)
        episode = len(self.configs) - self._warmup
        if episode <= 0:
            return self.rng.random(steps)
        noise = min(1.0, _NOISE * _DECAY**episode * (1 + attempt))
        actions = np.zeros(steps)
        with torch.inference_mode():
            for i in range(steps):
                state = torch.from_numpy(self._state(i, actions[i - 1] if i else 0.0))
                actions[i] = np.clip(float(self._actor(state)) + self.rng.normal(0.0, noise), 0.0, 1.0)
        return actions

    def _state(self, i: int, last: float) -> np.ndarray:
        return np.append(self._steps[i], last).astype(np.float32)

    def _configuration(self, actions: np.ndarray) -> np.ndarray:
        """(layers,) the allowed choices nearest to the bits that the actions stand for."""
        config = np.zeros(len(self._levels), dtype=np.int64)
        for layer, (allowed, levels) in enumerate(zip(self.problem.space.allowed, self._levels, strict=True)):
            wanted = [
                values[min(int(action * len(values)), len(values) - 1)]
                for values, action in zip(levels, actions[2 * layer : 2 * layer + 2], strict=True)
            ]
            far = np.abs(self._pairs[list(allowed)] - wanted).sum(axis=1)
            config[layer] = allowed[int(far.argmin())]
        return config

    def _lowered(self, config: np.ndarray) -> np.ndarray:
        """The configuration with fewer bits from the last layer on, one step a turn, until the limits that are sums are kept."""
        width = self._pairs.sum(axis=1)
        config = config.copy()
        lowered = True
        while lowered and not self.problem.within(config[None])[0]:
            lowered = False
            for layer in reversed(range(len(config))):
                fewer = [i for i in self.problem.space.allowed[layer] if width[i] < width[config[layer]]]
                if fewer:
                    config[layer] = max(fewer, key=lambda i: (width[i], i))
                    lowered = True
                    if self.problem.within(config[None])[0]:
                        break
        return config

    def _remember(self, config: np.ndarray) -> None:
        loss = self.observed_loss
        self._unit = self._unit or float(abs(loss[-1] - loss[0])) or 1.0
        reward = float((loss[0] - loss[-1]) / self._unit)
        chosen = self._actions(config)
        for i in range(len(self._steps)):
            last = i + 1 == len(self._steps)
            after = self._state(0 if last else i + 1, chosen[i])
            before = self._state(i, chosen[i - 1] if i else 0.0)
            self._memory.append((before, chosen[i], reward, after, 0.0 if last else 1.0))

    def _actions(self, config: np.ndarray) -> np.ndarray:
        """(2 layers,) the actions that stand for a configuration."""
        found = [
            (int(np.searchsorted(values, self._pairs[choice, axis])) + 0.5) / len(values)
            for levels, choice in zip(self._levels, config, strict=True)
            for axis, values in enumerate(levels)
        ]
        return np.array(found)

    def _learn(self) -> None:
        """One step of both networks on a batch from the memory, then the targets follow."""
        drawn = self.rng.integers(len(self._memory), size=_BATCH)
        parts = zip(*(self._memory[i] for i in drawn), strict=True)
        before, action, reward, after, more = (torch.from_numpy(np.array(part, dtype=np.float32)) for part in parts)
        action, reward, more = action[:, None], reward[:, None], more[:, None]
        actor_target, critic_target = self._followers
        with torch.no_grad():
            wanted = reward + more * critic_target(torch.cat([after, actor_target(after)], dim=1))
        losses = (
            lambda: ((self._critic(torch.cat([before, action], dim=1)) - wanted) ** 2).mean(),
            lambda: -self._critic(torch.cat([before, self._actor(before)], dim=1)).mean(),
        )
        for loss, optimiser in zip(losses, reversed(self._optimisers), strict=True):
            optimiser.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            for made, follower in zip((self._actor, self._critic), self._followers, strict=True):
                for value, slow in zip(made.parameters(), follower.parameters(), strict=True):
                    slow.lerp_(value, _SOFT)


def _network(inputs: int, end: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1), end
    )


def _descriptions(problem: Problem) -> np.ndarray:
    """(2 layers, costs + 2) of each step: what the layer has of every cost at most bits, its place, and which of its bits it sets."""
    layers = len(problem.space.layers)
    columns = []
    for cost in problem.costs.values():
        at_most = np.abs(cost.table[np.arange(layers), problem.space.base])
        columns.append(at_most / max(at_most.max(), 1e-300))
    columns.append(np.arange(layers) / max(layers - 1, 1))
    by_layer = np.repeat(np.stack(columns, axis=1), 2, axis=0)
    return np.concatenate([by_layer, np.tile([[0.0], [1.0]], (layers, 1))], axis=1)
