"""SoundScape's own Open-Unmix as a PyTorch module: one recurrent network for all stems, from bands to masks.

It differs from the official network (Stöter et al. 2019) where that costs time or data: the stems share the encoder and
the recurrent layers and have one head each; bands become wider towards high frequencies; the input is logarithmic; and
the masks of a bin sum to one.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ensemble.networks.draft import BANDS, EDGES, WIDTHS

FLOOR = 1e-4  # power per bin that counts as silence, 160 dB below a full-scale sine
LAYERS = 3
CLASS = "ensemble.training.network.Unmix"  # its name in checkpoints


class Unmix(nn.Module):
    """Masks for the magnitudes of mixtures, and the activations of the recurrent layers, which the detector uses."""

    def __init__(self, stems: int, hidden: int) -> None:
        super().__init__()
        self.stems, self.hidden = stems, hidden
        self.scale = nn.BatchNorm1d(2 * BANDS)
        self.encode, self.encoded = nn.Linear(2 * BANDS, hidden, bias=False), nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, hidden // 2, LAYERS, bidirectional=True)
        self.mix, self.mixed = nn.Linear(2 * hidden, stems * hidden, bias=False), nn.BatchNorm1d(stems * hidden)
        self.decode = nn.ModuleList(nn.Linear(hidden, 2 * BANDS) for _ in range(stems))

    def forward(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Masks and activations. Bins above the last band share its mask.

        Parameters
        ----------
        mixture
            Magnitudes, (batch, 2, BINS, frames) float32, 0 or more.

        Returns
        -------
        Masks, (batch, stems, 2, frames, BANDS), which sum to one over the stems, and activations, (frames, batch,
        hidden).
        """
        masks, hidden = self.listen(pool(mixture.square()))
        return masks.transpose(-1, -2), hidden  # frames first, as spectra lie in memory

    def masks(self, power: Tensor) -> Tensor:
        """Masks, (batch, stems, 2, BANDS, frames), from the mean power per bin of bands, (batch, 2, BANDS, frames)."""
        return self.listen(power)[0]

    def listen(self, power: Tensor) -> tuple[Tensor, Tensor]:
        """Masks as of `masks`, and the activations, (frames, batch, hidden), from power, (batch, 2, BANDS, frames)."""
        x = (power + FLOOR).log().permute(3, 0, 1, 2).flatten(2)  # (frames, batch, features)
        x = torch.tanh(self._normed(self.encoded, self.encode(self._normed(self.scale, x))))
        hidden = self.lstm(x)[0]
        x = torch.relu(self._normed(self.mixed, self.mix(torch.cat([x, hidden], -1))))
        heads = [head(part) for head, part in zip(self.decode, x.split(self.hidden, -1), strict=True)]
        logits = torch.stack(heads).unflatten(-1, (2, BANDS))  # (stems, frames, batch, 2, BANDS)
        # A softmax written out: ONNX Runtime's takes four times as long over the first axis.
        likely = (logits - logits.amax(0)).exp()
        return (likely / likely.sum(0)).permute(2, 0, 3, 4, 1), hidden

    @staticmethod
    def _normed(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """Batch norm over frames and batch.

        Written out for inference, where it is constant and sizes can't be traced.
        """
        if norm.training:
            learning: Tensor = norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            return learning
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return x * scale + (norm.bias - norm.running_mean * scale)


def pool(values: Tensor, edges: Sequence[int] = EDGES, widths: Sequence[int] = WIDTHS) -> Tensor:
    """Mean over each band: (..., BINS, frames) to (..., BANDS, frames)."""
    parts = [
        values[..., start:stop, :].unflatten(-2, ((stop - start) // width, width)).mean(-2)
        for (start, stop), width in zip(pairwise(edges), widths, strict=True)
    ]
    return torch.cat(parts, -2)
