"""Our own Open-Unmix as a PyTorch module: one recurrent network for all stems, which reads bands and answers masks.

It differs from the official one (Stöter et al. 2019) where that costs time or data: the stems share one encoder and
one recurrent part and have a head each; bins become wider bands towards high frequencies; the input is logarithmic; and
the masks of a bin sum to one.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ensemble.networks.draft import BANDS, EDGES, WIDTHS

FLOOR = 1e-4  # power per bin that counts as silence, 160 dB below a full-scale sine
LAYERS = 3
CLASS = "ensemble.training.network.Unmix"  # as checkpoints name it


class Unmix(nn.Module):
    """Magnitudes (batch, 2, BINS, frames) of a mixture -> masks (batch, stems, 2, frames, BANDS), which sum to one, and
    what its recurrent layers make of each frame, (frames, batch, hidden), which the detector reads.
    """

    def __init__(self, stems: int, hidden: int) -> None:
        super().__init__()
        self.stems, self.hidden = stems, hidden
        self.scale = nn.BatchNorm1d(2 * BANDS)
        self.encode, self.encoded = nn.Linear(2 * BANDS, hidden, bias=False), nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, hidden // 2, LAYERS, bidirectional=True)
        self.mix, self.mixed = nn.Linear(2 * hidden, stems * hidden, bias=False), nn.BatchNorm1d(stems * hidden)
        self.decode = nn.ModuleList(nn.Linear(hidden, 2 * BANDS) for _ in range(stems))

    def forward(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Bins above the last band share its mask."""
        masks, hidden = self.listen(pool(mixture.square()))
        return masks.transpose(-1, -2), hidden  # frames first, as spectra lie in memory

    def masks(self, power: Tensor) -> Tensor:
        """Mean power per bin of the bands, (batch, 2, BANDS, frames), to masks (batch, stems, 2, BANDS, frames)."""
        return self.listen(power)[0]

    def listen(self, power: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and what the recurrent layers make of it."""
        x = (power + FLOOR).log().permute(3, 0, 1, 2).flatten(2)  # (frames, batch, features)
        x = torch.tanh(self._normed(self.encoded, self.encode(self._normed(self.scale, x))))
        hidden = self.lstm(x)[0]
        x = torch.relu(self._normed(self.mixed, self.mix(torch.cat([x, hidden], -1))))
        heads = [head(part) for head, part in zip(self.decode, x.split(self.hidden, -1), strict=True)]
        logits = torch.stack(heads).unflatten(-1, (2, BANDS))  # (stems, frames, batch, 2, BANDS)
        # A softmax written out: ONNX Runtime is four times as slow at one over the first axis.
        likely = (logits - logits.amax(0)).exp()
        return (likely / likely.sum(0)).permute(2, 0, 3, 4, 1), hidden

    @staticmethod
    def _normed(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """A batch norm over frames and batch. Written out in use, where it is constant and sizes can't be traced."""
        if norm.training:
            learning: Tensor = norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            return learning
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return x * scale + (norm.bias - norm.running_mean * scale)


def pool(values: Tensor, edges: Sequence[int] = EDGES, widths: Sequence[int] = WIDTHS) -> Tensor:
    """(..., BINS, frames) to the mean over each band, (..., BANDS, frames)."""
    parts = [
        values[..., start:stop, :].unflatten(-2, ((stop - start) // width, width)).mean(-2)
        for (start, stop), width in zip(pairwise(edges), widths, strict=True)
    ]
    return torch.cat(parts, -2)
