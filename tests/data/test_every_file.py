"""Every public FCS file goes through, and its ledger adds up to the events that it says it has."""

import re
from collections import defaultdict
from inspect import signature
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pytest

from biocross.cohort.markers import channel_kind
from biocross.cohort.panel import load_panel
from biocross.cohort.propose_panel import guess_cytometry, propose_panel
from biocross.flow.events import Events, read_events
from biocross.flow.flagging import flag_steps
from biocross.flow.headers import read_header
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.signals import TIME, Compensation
from biocross.flow.transform_choice import estimate_transforms
from biocross.tables import read_rows, write_rows

pytestmark = pytest.mark.data

FOLDERS = (
    *("bcr_xl", "bodenmiller", "citrus_paired", "cytonorm", "diva", "fcs_oddities", "flowkit"),
    *("flowsom_68983", "itn", "metacyto", "peacoqc", "single_stains"),
)
UNREADABLE = {
    "not_an_fcs_10bytes.fcs": "is not an FCS file",
    "truncated_header_only_cytek_nl2000.fcs": "is truncated: its 20000 events need 2160000 bytes",
}
OUTPUTS = [name for name in signature(prepare_flow_sample).parameters if name.endswith("_out")]
MUCH = 0.3
# Triggered by side scatter, of a buffer and of bacteria: the forward scatter is noise about zero.
WITHOUT_CELLS = {
    "fcs20_float_le_macsquant.fcs",
    "fcs30_float_be_fortessa.fcs",
    "large_file_blank_header_offsets.fcs",
}
# Published margin and doublet rules flag a quarter and more of many of these files.
HIGHEST_MEDIAN = {"margin": 0.01, "doublet": 0.12, "dna": 0.1, "event_length": 0.02}


class Prepared(NamedTuple):
    """One file that went through."""

    path: Path
    cytometry: str
    markers: list[str]
    events: Events
    ledger: list[dict[str, str]]


def every_fcs(folder):
    """List the FCS files, by their first bytes or, where these are broken, by their name."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as handle:
            if handle.read(3) == b"FCS" or path.suffix == ".fcs":
                yield path


def stated_events(path):
    """Read $TOT of the first data set without the project's reader."""
    content = path.read_bytes()
    first, last = int(content[10:18]), int(content[18:26])
    text = content[first : last + 1]
    delimiter = re.escape(text[:1])
    return int(re.search(rb"\$TOT" + delimiter + rb"\s*(\d+)", text, re.IGNORECASE)[1])


def proposed(headers):
    """Make the panel that ``biocross init`` proposes."""
    return propose_panel({str(path): header for path, header in headers.items()}).rows


def whole(headers):
    """Make a panel of every channel: most oddities have no label that names a marker."""
    header = next(iter(headers.values()))
    return [
        {"channel": name, "marker": name, "kind": channel_kind(name) or "state", "aliases": ""}
        for name in header.channels
    ]


def cohorts(folder):
    """Group the files that share a panel; unreadable ones join the first of their folder."""
    groups, unreadable = defaultdict(dict), []
    for path in every_fcs(folder):
        if path.name in UNREADABLE:
            unreadable.append(path)
            continue
        header = read_header(path)
        groups[header.channels, header.markers][path] = header
    for headers in groups.values():
        yield headers, unreadable
        unreadable = []


def prepare(headers, unreadable, make_panel, out):
    """Take one cohort from its headers to prepared files, as the workflow does."""
    cytometry = guess_cytometry(list(headers.values()))
    out.mkdir(parents=True)
    panel, transforms = out / "panel.tsv", out / "transforms.tsv"
    write_rows(panel, ("channel", "marker", "kind", "aliases"), make_panel(headers))
    markers = [channel.marker for channel in load_panel(panel)]
    paths, compensation = [*headers, *unreadable], Compensation()
    estimate_transforms(
        paths,
        panel,
        cytometry,
        None,
        None,
        [compensation for _ in paths],
        transforms,
        out / "transforms.xml",
    )
    for path in paths:
        made = {name: out / f"{path.name}.{name}" for name in OUTPUTS}
        meta = {"sample_id": path.name}
        prepare_flow_sample(path, panel, transforms, cytometry, compensation, (), meta, **made)
        events, ledger = read_events(made["events_out"]), read_rows(made["ledger_out"])
        yield Prepared(path, cytometry, markers, events, ledger)


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request, test_data):
    return test_data / request.param


@pytest.fixture(scope="module", params=[proposed, whole], ids=["proposed_panel", "every_channel"])
def files(request, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp(folder.name)
    return [
        file
        for number, (headers, unreadable) in enumerate(cohorts(folder))
        for file in prepare(headers, unreadable, request.param, out / str(number))
    ]


@pytest.fixture
def readable(files):
    return [file for file in files if file.path.name not in UNREADABLE]


def test_every_folder_is_looked_at(test_data):
    folders = {path.relative_to(test_data).parts[0] for path in every_fcs(test_data)}
    assert folders == set(FOLDERS)
    assert sum(1 for _ in every_fcs(test_data)) >= 170


def test_every_file_goes_through(files, folder):
    assert {file.path for file in files} == set(every_fcs(folder))


def test_the_ledger_adds_up_to_the_events_of_the_file(readable):
    for file in readable:
        before = [int(row["events_before"]) for row in file.ledger]
        flagged = [int(row["flagged"]) for row in file.ledger]
        steps = ["read", *flag_steps(file.cytometry)]
        assert [row["step"] for row in file.ledger] == steps, file.path
        assert before[0] == stated_events(file.path), file.path
        assert flagged[0] == 0, file.path
        left = [start - gone for start, gone in zip(before, flagged, strict=True)]
        assert before[1:] == left[:-1], file.path
        passing = int(np.count_nonzero(file.events.quality == 0))
        assert sum(flagged) + passing == before[0], file.path
        by_step = np.bincount(file.events.quality, minlength=len(steps))
        assert by_step[1:].tolist() == flagged[1:], file.path
        shares = [gone / max(start, 1) for start, gone in zip(before, flagged, strict=True)]
        assert [float(row["share"]) for row in file.ledger] == pytest.approx(shares), file.path


def test_the_prepared_file_has_every_event_and_no_missing_value_among_those_that_pass(readable):
    for file in readable:
        values, quality, meta = file.events
        n_events = stated_events(file.path)
        assert [name for name in values if name != TIME] == [
            name for name in file.markers if name != TIME
        ]
        assert quality.shape == (n_events,), file.path
        assert meta["sample_id"] == file.path.name
        assert meta["flag_steps"] == ",".join(flag_steps(file.cytometry))
        passing = quality == 0
        assert passing.any(), file.path
        for name, column in values.items():
            assert column.dtype == np.float32, (file.path, name)
            assert column.shape == (n_events,), (file.path, name)
            assert np.isfinite(column[passing]).all(), (file.path, name)


def test_unreadable_files_are_excluded_with_a_reason(files):
    for file in files:
        if file.path.name not in UNREADABLE:
            assert "excluded" not in file.events.meta
            continue
        (row,) = file.ledger
        reason = UNREADABLE[file.path.name]
        assert (row["step"], row["events_before"], row["flagged"]) == ("read", "0", "0")
        assert row["note"].startswith(f"excluded: {reason}")
        assert file.events.meta["excluded"].startswith(reason)
        assert list(file.events.values) == file.markers
        assert all(column.size == 0 for column in file.events.values.values())


def test_only_files_without_cells_lose_much_to_one_step(readable, folder):
    much = {
        (file.path.name, row["step"])
        for file in readable
        for row in file.ledger
        if float(row["share"]) > MUCH
    }
    expected = {(name, "margin") for name in WITHOUT_CELLS if (folder / name).exists()}
    assert much == expected


def test_real_cells_are_not_taken_for_margins_or_doublets(readable):
    shares = defaultdict(list)
    for file in readable:
        for row in file.ledger:
            shares[row["step"]].append(float(row["share"]))
    for step, highest in HIGHEST_MEDIAN.items():
        if step in shares:
            assert median(shares[step]) <= highest, (step, shares[step])
