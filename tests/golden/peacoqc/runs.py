"""Simulated runs whose events the golden values belong to; also writes them for R."""

import sys
from pathlib import Path

import numpy as np

SIZES = {"steady": 60_000, "clog": 60_000, "spike": 60_000, "drift": 60_000, "short": 12_000}
# (share of negatives, place of the positives, spread) of each channel.
CHANNELS = ((0.9, 0.7, 0.05), (0.5, 0.6, 0.06), (0.3, 0.75, 0.05), (0.6, 0.55, 0.05))


def simulated_run(name):
    """Return values of shape (channels, events), float64 on a scale of 0 to 1."""
    random = np.random.default_rng(list(SIZES).index(name))
    n_events = SIZES[name]
    channels = []
    for share, place, spread in CHANNELS:
        positive = random.random(n_events) > share
        noise = random.standard_normal(n_events)
        channels.append(np.where(positive, place + spread * noise, 0.2 + 0.05 * noise))
    values = np.array(channels)
    time = np.arange(n_events) / n_events
    if name in ("clog", "short"):
        values[:, (time > 0.4) & (time < 0.5)] += 0.12
    if name == "spike":
        values[1, (time > 0.7) & (time < 0.72)] += 0.3
    if name == "drift":
        values[2] += 0.2 * time
    return values


if __name__ == "__main__":
    for name in SIZES:
        Path(sys.argv[1], f"{name}.csv").write_text(
            "\n".join(",".join(f"{value:.17g}" for value in row) for row in simulated_run(name).T)
        )
