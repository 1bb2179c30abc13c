"""Networks for a few numbers and for sequences of tokens."""

from torch import Tensor, nn


class Perceptron(nn.Module):
    """`features` numbers to `values` numbers through one hidden layer."""

    def __init__(self, features: int, width: int = 32, values: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, values))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class NextToken(nn.Module):
    """Scores for the token after each place, (N, places, tokens): an embedding and a GRU."""

    def __init__(self, tokens: int, width: int = 64) -> None:
        super().__init__()
        self.rows = nn.Embedding(tokens, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(self.rows(x))[0])
