"""One estimate per stem, and estimates that sum to the mixture. Pure functions on arrays."""

import numpy as np

from ensemble.stft import Audio, istft, stft

TINY = np.float32(1e-20)  # power below which all stems count as equally silent


def share_residual(mixture: Audio, estimates: Audio) -> Audio:
    """Give what the estimates miss of the mixture back to them, so that they sum to it.

    mixture (channels, samples), estimates (sources, channels, samples); returns new estimates. In every bin of the
    short-time spectrum each source takes the share of the residual that it has of the sources' power (a Wiener gain on
    the residual); where all are silent the shares are equal. The transform is linear, so the sum is exact up to
    rounding.
    """
    residual = stft(mixture - estimates.sum(axis=0))
    power = np.stack([(np.abs(stft(estimate)) ** 2).sum(axis=0) for estimate in estimates]) + TINY
    shares = power / power.sum(axis=0)
    return np.stack(
        [
            estimate + istft(share * residual, mixture.shape[-1])
            for estimate, share in zip(estimates, shares, strict=True)
        ]
    )
