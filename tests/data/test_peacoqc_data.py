"""The example of PeacoQC, and files in which nothing happens."""

from pathlib import Path

import numpy as np
import pytest

from biocross.flow.fcs import read_fcs
from biocross.flow.quality.flow_rate import flag_flow_rate
from biocross.flow.quality.time import flag_time_anomalies

pytestmark = pytest.mark.data
GOLDEN = Path(__file__).parents[1] / "golden" / "peacoqc"
# Channels 1, 3, 5:14, 18 and 21 of R.
CHANNELS = [0, 2, *range(4, 14), 17, 20]


def column_of(fcs, name):
    return fcs.events[:, [channel.lower() for channel in fcs.channels].index(name)]


def test_same_events_as_peacoqc(test_data):
    events = read_fcs(test_data / "peacoqc" / "111_Comp_Trans.fcs").events
    expected = np.zeros(len(events), dtype=bool)
    for line in (GOLDEN / "peacoqc_111_flagged.tsv").read_text().splitlines()[1:]:
        start, stop = (int(place) for place in line.split())
        expected[start:stop] = True
    found = flag_time_anomalies([events[:, channel] for channel in CHANNELS]).flagged
    assert np.mean(found == expected) > 0.98
    both, chance = np.mean(found & expected), found.mean() * expected.mean()
    kappa = 2 * (both - chance) / (found.mean() + expected.mean() - 2 * chance)
    assert kappa > 0.9


def test_slow_start_of_the_example(test_data):
    """The first 400 of its events came at half of the usual rate."""
    time = column_of(read_fcs(test_data / "peacoqc" / "111_Comp_Trans.fcs"), "time")
    found = flag_flow_rate(time)
    assert found.flagged[:150].all()
    assert not found.flagged[400:].any()


@pytest.mark.parametrize(
    "path", ["flowsom_68983/68983.fcs", "diva/124500.fcs", "flowkit/test_comp_example.fcs"]
)
def test_steady_files_have_a_steady_rate(test_data, path):
    found = flag_flow_rate(column_of(read_fcs(test_data / path), "time"))
    assert not found.note.startswith("not_possible")
    assert not found.flagged.any()


@pytest.mark.parametrize("number", range(1, 16))
def test_nothing_happens_in_itn(test_data, number):
    """10,000 events each; arcsinh, so that the test does not depend on the other steps."""
    fcs = read_fcs(test_data / "itn" / f"sample{number:02}.fcs")
    signals = [i for i, name in enumerate(fcs.channels) if name.lower() != "time"]
    values = [np.arcsinh(fcs.events[:, i] / 150) for i in signals]
    assert not flag_time_anomalies(values).flagged.any()
    assert not flag_flow_rate(column_of(fcs, "time")).flagged.any()
