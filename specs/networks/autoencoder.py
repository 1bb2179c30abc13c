"""An autoencoder for images of 1 x 28 x 28: what it has not seen in training it rebuilds badly."""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Convolutions to `code` numbers and back; the output is the image that the input should have been, from 0 to 1."""

    def __init__(self, width: int = 16, code: int = 8) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 7 * 7, code),
            nn.ReLU(),
        )
        self.decode = nn.Sequential(
            nn.Linear(code, 2 * width * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.ConvTranspose2d(2 * width, width, 2, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))
