import pytest

from biocross.cohort.panel import Channel, load_panel, read_panel
from biocross.errors import ConfigError

HEADER = "channel\tmarker\tkind\ttransform\tcofactor\taliases"


@pytest.fixture
def write(tmp_path):
    def run(*rows):
        path = tmp_path / "panel.tsv"
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        return path

    return run


def test_panel(write):
    path = write(
        "FSC-A\tFSC-A\tscatter\t\t\t",
        "PE-A\tCD3\tlineage\tarcsinh\t120\tPE-H, YG-585-A ,",
        "B1-A\tB1\tunused\t\t\t",
        "Time\tTime\ttime\tlinear\t\t",
    )
    assert load_panel(path) == [
        Channel("FSC-A", "FSC-A", "scatter"),
        Channel("PE-A", "CD3", "lineage", "arcsinh", 120.0, ("PE-H", "YG-585-A")),
        Channel("Time", "Time", "time", "linear"),
    ]


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        *((kind, True) for kind in ("lineage", "state", "viability", "dump", "dna", "bead")),
        *((kind, False) for kind in ("scatter", "time", "event_length", "gaussian")),
    ],
)
def test_what_carries_a_signal(write, kind, signal):
    (channel,) = load_panel(write(f"A\tB\t{kind}\t\t\t"))
    assert channel.is_signal is signal


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["A\tCD3\tlineage", "A\tCD4\tlineage"], 'row 3: channel "A" is already in row 2'),
        (["A\tCD3\tlineage", "B\tCD3\tstate"], 'row 3: marker "CD3" is already in row 2'),
        (["A\tCD3\tlineage\tlog"], 'row 2: "transform" is "log"; '),
        (["A\tCD3\tlineage\t\t-5"], 'row 2: "cofactor" is -5.0: a cofactor is a positive number'),
        (["A\tCD3\tlineage\t\tfive"], "row 2: \"cofactor\" is 'five': a cofactor is a positive"),
        (["A\t\tlineage"], 'row 2: "marker" is missing; please fill it in'),
    ],
)
def test_problems(write, rows, sentence):
    path = write(*rows)
    _, problems = read_panel(path)
    assert [str(problem).startswith(f"{path} {sentence}") for problem in problems] == [True]
    with pytest.raises(ConfigError) as caught:
        load_panel(path)
    assert str(caught.value) == str(problems[0])


def test_unused_channels_may_repeat(write):
    assert load_panel(write("A\t-\tunused", "B\t-\tunused", "C\tCD3\tlineage")) == [
        Channel("C", "CD3", "lineage")
    ]
