"""Dropout whose mask is hashed, a few operations a batch, instead of drawn number by number.

Legend: N images of a batch, C channels, H height, W width, M values of an image, Q = ⌈M / 4⌉ 64-bit words an image.
"""

import torch
from torch import Tensor, nn

from classifier.model.randomness import generator

DRAWS_PER_WORD = 4
NUM_DRAWS = 2**16
"""A draw is one of 2¹⁶ equally likely numbers."""
BFLOAT16_ONE = 0x3F80
"""The bits of 1.0."""


class Dropout(nn.Module):
    """Set a share `rate` of the values to 0 in training, and divide the others by the kept share (Srivastava et al. 2014).

    The rate is rounded to 16 bits, and the division is by the rounded share: the mean stays exact. Which values go depends on
    the image's key in `keys_N` and on the value's place alone: they are the same in whatever batch and memory layout, on
    whatever device, and with any number of threads. `DropoutKeys.choose` comes before every step of training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.num_dropped = round(rate * NUM_DRAWS)
        if not 0 < self.num_dropped < NUM_DRAWS:
            raise ValueError(f"needs a rate above 0 and below 1, got {rate}")
        self.scale = NUM_DRAWS / (NUM_DRAWS - self.num_dropped)
        self.keys_N: Tensor | None = None

    def choose(self, keys_N: Tensor) -> None:
        """The next batch is the images of these keys."""
        self.keys_N = keys_N

    def forward(self, values: Tensor) -> Tensor:
        """Apply it to (N, C) or (N, C, H, W), best channels-last in memory; return the same shape."""
        if not self.training:
            return values
        assert self.keys_N is not None, "no keys were chosen"
        return values * self._kept(self.keys_N, values) * self.scale

    def _kept(self, keys_N: Tensor, values: Tensor) -> Tensor:
        """1 where a value is kept and 0 where not, like `values`."""
        channels, *sides = values.shape[1:]
        num_values = values[0].numel()
        words_NQ = split_mix(keys_N, -(-num_values // DRAWS_PER_WORD))
        draws_NM = words_NQ.view(torch.int16)[:, :num_values]
        # Comparing and converting from bool is slow on CPUs; bounds and whole-number products are not.
        least = self.num_dropped - NUM_DRAWS // 2
        kept_NM = draws_NM.clamp(least - 1, least).sub_(least - 1).mul_(BFLOAT16_ONE).view(torch.bfloat16)
        return kept_NM.view(-1, *sides, channels).movedim(-1, 1).to(values.dtype)


class StochasticDepth(Dropout):
    """Set all values of a share `rate` of the images to 0 (Huang et al. 2016), and divide the others by the kept share.

    Each call since the keys were chosen draws anew: a block may hand its branches through the same layer, one after the other.
    """

    num_calls = 0

    def choose(self, keys_N: Tensor) -> None:
        """The next batch is the images of these keys."""
        super().choose(keys_N)
        self.num_calls = 0

    def _kept(self, keys_N: Tensor, values: Tensor) -> Tensor:
        """1 for an image that is kept and 0 for one that is not, of shape (N, 1, …)."""
        self.num_calls += 1
        kept_NM = super()._kept(keys_N, values.new_empty((len(values), self.num_calls)))
        return kept_NM[:, -1].view(-1, *(1 for _ in values.shape[1:]))


class DropoutKeys:
    """A key for each image and each dropout layer of `network`, drawn for (seed, epoch)."""

    def __init__(self, network: nn.Module, num_images: int, seed: int, epoch: int, device: torch.device) -> None:
        self.layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
        self.keys = [
            torch.empty(num_images, dtype=torch.int64)
            .random_(-(2**63), None, generator=generator(seed, "dropout", number, epoch))
            .to(device)
            for number, _ in enumerate(self.layers)
        ]

    def choose(self, rows_N: Tensor) -> None:
        """The next batch is the images `rows_N` of the data set."""
        for layer, keys in zip(self.layers, self.keys, strict=True):
            layer.choose(keys[rows_N])


def split_mix(keys_N: Tensor, num_words: int) -> Tensor:
    """The first words_NQ (int64, all 64 bits random) of SplitMix64 from each state of `keys_N` (Steele, Lea & Flood 2014)."""
    counters_Q = torch.arange(1, num_words + 1, device=keys_N.device) * _signed(0x9E3779B97F4A7C15)
    words_NQ = keys_N[:, None] + counters_Q
    words_NQ ^= _shifted(words_NQ, 30)
    words_NQ *= _signed(0xBF58476D1CE4E5B9)
    words_NQ ^= _shifted(words_NQ, 27)
    words_NQ *= _signed(0x94D049BB133111EB)
    words_NQ ^= _shifted(words_NQ, 31)
    return words_NQ


def _shifted(words: Tensor, bits: int) -> Tensor:
    """To the right, zeros coming in: torch's own shift of int64 repeats the sign."""
    return (words >> bits).bitwise_and_(2 ** (64 - bits) - 1)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
