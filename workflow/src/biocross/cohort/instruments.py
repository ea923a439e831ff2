"""What the FCS headers of a cohort say: where they contradict the panel or one another."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from biocross.cohort.design import Sample
from biocross.cohort.markers import find_marker, is_mass_channel, standard_marker
from biocross.cohort.panel import Channel
from biocross.cohort.sheets import did_you_mean
from biocross.errors import FcsError
from biocross.flow.header_values import dye_of, iso_date
from biocross.flow.headers import FcsHeader, read_header
from biocross.tables import write_rows

FILE_COLUMNS = (
    *("sample_id", "patient_id", "visit", "batch", "file", "sha256", "bytes", "fcs_version"),
    *("events", "channels", "cytometer", "date", "datatype", "fluorochromes", "compensation"),
)
CHANNEL_COLUMNS = (
    *("marker", "channel", "kind", "batch", "files_with", "files_without", "names", "labels"),
    *("range_min", "range_max"),
)
FEW_EVENTS = 1000
_NAMED_FILES = 5
_NAMED_CHANNELS = 3
_COMPARED_RANGES = frozenset({"scatter", "lineage", "state", "viability", "dump"})
_COMPARED_LABELS = frozenset({"lineage", "state", "viability"})


class HeaderProblem(NamedTuple):
    """One thing that an FCS file's header shows to be wrong, or worth a look.

    Parameters
    ----------
    severity
        ``error`` or ``warning``.
    file
        The path as in ``samples.tsv``; empty for what concerns the whole cohort.
    sample
        The sample's id; empty for what concerns several.
    message
        A sentence.
    """

    severity: str
    file: str
    sample: str
    message: str

    def __str__(self) -> str:
        """Say it as a sentence."""
        return f"{self.file}: {self.message}" if self.file else self.message


class _File(NamedTuple):
    """A sample's file; its header is None where it cannot be read."""

    sample: Sample
    path: Path
    header: FcsHeader | None

    @property
    def found(self) -> FcsHeader:
        assert self.header is not None
        return self.header

    def problem(self, severity: str, message: str) -> HeaderProblem:
        return HeaderProblem(severity, self.sample.path, self.sample.sample_id, message)

    def exclusion(self, message: str) -> HeaderProblem:
        """Word a fault that costs the cohort this sample, and no other."""
        return self.problem(
            "warning", f"sample {self.sample.sample_id} is left out: its file {message}"
        )


def compare_headers(
    samples: Sequence[Sample], panel: Sequence[Channel], folder: Path | str
) -> tuple[list[HeaderProblem], list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare the FCS headers of a cohort with its panel and with one another.

    Parameters
    ----------
    samples
        Those of modality ``flow`` are looked at.
    panel
        Channels of ``panel.tsv``; none to compare the files only with one another.
    folder
        What the samples' paths start from.

    Returns
    -------
    problems : list of HeaderProblem
        Errors and warnings: first file by file, then what concerns several.
    files : list of dict
        A row per sample, with the columns `FILE_COLUMNS` but ``sha256``.
    channels : list of dict
        A row per channel of the panel and batch, with the columns `CHANNEL_COLUMNS`.
    """
    files, problems = [], []
    for sample in samples:
        if sample.modality != "flow" or not sample.path:
            continue
        path = Path(folder) / sample.path
        try:
            files.append(_File(sample, path, read_header(path)))
        except FcsError as error:
            files.append(_File(sample, path, None))
            message = str(error).removeprefix(f"{path}: ")
            there = path.is_file()
            file = files[-1]
            problems.append(file.exclusion(message) if there else file.problem("error", message))
    readable = [file for file in files if file.header]
    if files and not readable:
        message = "none of the FCS files can be read; see the warnings for the reason of each"
        problems.append(HeaderProblem("error", "", "", message))
    nowhere = [c for c in panel if readable and not any(_column(f.found, c) for f in readable)]
    somewhere = [channel for channel in panel if channel not in nowhere]
    for file in readable:
        problems += _file_problems(file)
        problems += _panel_problems(file, somewhere)
    problems += [_nowhere_problem(channel, readable) for channel in nowhere]
    problems += _range_problems(readable, somewhere)
    problems += _patient_problems(readable)
    problems += _matrix_problems(readable)
    return problems, [_file_row(file) for file in files], _channel_rows(readable, panel)


def describe_files(
    samples: Sequence[Sample],
    panel: Sequence[Channel],
    folder: Path | str,
    files_out: Path | str,
    channels_out: Path | str,
) -> None:
    """Write what MIFlowCyt asks of every file, and which channels were measured in which batch.

    Nothing that may carry the name of a patient or of an operator is copied from the headers.

    Parameters
    ----------
    samples, panel, folder
        As in `compare_headers`.
    files_out
        Table with the columns `FILE_COLUMNS`, a row per flow sample.
    channels_out
        Table with the columns `CHANNEL_COLUMNS`, a row per channel of the panel and batch.
    """
    _, files, channels = compare_headers(samples, panel, folder)
    for row in files:
        row["sha256"] = _sha256(Path(folder) / row["file"])
    write_rows(files_out, FILE_COLUMNS, files)
    write_rows(channels_out, CHANNEL_COLUMNS, channels)


def _column(header: FcsHeader, channel: Channel) -> int | None:
    """Return the number, from 1, of the first column that bears one of a channel's names."""
    for name in (channel.channel, *channel.aliases):
        if name in header.channels:
            return header.channels.index(name) + 1
    return None


def _file_problems(file: _File) -> list[HeaderProblem]:
    header, problems = file.found, []
    if header.mode != "L":
        message = f"holds histograms (mode {header.mode}), not events; export it in list mode"
        problems.append(file.exclusion(message))
    if header.n_events == 0:
        message = "has no events; remove its row from samples.tsv or acquire it again"
        problems.append(file.exclusion(message))
    elif header.n_events < FEW_EVENTS:
        message = f"has only {_events(header)}; rare populations cannot be counted in it"
        problems.append(file.problem("warning", message))
    if header.data_bytes > file.path.stat().st_size:
        message = f"is truncated: too short for its {_events(header)}; copy it again"
        problems.append(file.exclusion(message))
    if header.has_broken_spillover:
        message = "has a spillover matrix that cannot be parsed; export the file again"
        problems.append(file.exclusion(message))
    if words := _unread_compensation(header):
        problems.append(file.problem("warning", words))
    if header.several_data_sets:
        problems.append(file.problem("warning", "holds several data sets; the first one is read"))
    problems += [
        file.problem("warning", repair.note)
        for repair in header.repairs
        if repair.what == "duplicate_channel"
    ]
    return problems


def _unread_compensation(header: FcsHeader) -> str:
    """Say what an old header tells of compensation that is not applied."""
    if header.spillover_channels or not any(k[:3] in ("dfc", "com") for k in header.keywords):
        return ""
    # Imported here: it needs numpy, and hardly any file has such keywords.
    from biocross.flow.spillover import unread_compensation

    return unread_compensation(header.keywords)


def _panel_problems(file: _File, panel: Sequence[Channel]) -> list[HeaderProblem]:
    header, problems, missing = file.found, [], []
    for channel in panel:
        column = _column(header, channel)
        if column is None:
            missing.append(channel)
        elif _contradicts(header.markers[column - 1], channel, panel):
            message = (
                f'labels channel "{header.channels[column - 1]}" as '
                f'"{header.markers[column - 1]}", where panel.tsv expects {channel.marker}; '
                "correct panel.tsv, or see whether the file is mislabelled"
            )
            problems.append(file.problem("warning", message))
    if len(missing) > _NAMED_CHANNELS:
        message = (
            f"lacks {len(missing)} of the {len(panel)} channels of panel.tsv, such as "
            f"{_quoted(c.channel for c in missing[:_NAMED_CHANNELS])}; it has "
            f"{_some(header.channels)}: was it measured with another panel?"
        )
        return [*problems, file.problem("error", message)]
    messages = [
        f'has no channel "{channel.channel}", where panel.tsv expects {channel.marker}'
        f"{_nearest(header, channel, panel)}; populations gated by {channel.marker} get no count "
        "in it"
        for channel in missing
    ]
    return [*problems, *(file.problem("warning", message) for message in messages)]


def _nearest(header: FcsHeader, channel: Channel, panel: Sequence[Channel] = ()) -> str:
    """Suggest the channel whose label is the marker, else the one with the nearest name."""
    if channel.is_signal:
        wanted = standard_marker(channel.marker)
        for name, label in zip(header.channels, header.markers, strict=True):
            if label and standard_marker(label) == wanted:
                return (
                    f'; its channel "{name}" is labelled "{label}": if that is the marker, add '
                    "the channel's name to the column aliases"
                )
    taken = {name for other in panel for name in (other.channel, *other.aliases)}
    return did_you_mean(channel.channel, [name for name in header.channels if name not in taken])


def _nowhere_problem(channel: Channel, files: Sequence[_File]) -> HeaderProblem:
    message = (
        f'panel.tsv: channel "{channel.channel}" ({channel.marker}) is in none of the '
        f"{len(files)} FCS files{_nearest(files[0].found, channel)}"
    )
    return HeaderProblem("error", "", "", message)


def _contradicts(label: str, channel: Channel, panel: Sequence[Channel]) -> bool:
    """Return whether a label clearly names another marker than the panel does.

    Clearly: both names are known, or the label is the marker of another channel of the panel.
    """
    if channel.kind not in _COMPARED_LABELS:
        return False
    (found, kind), (wanted, wanted_kind) = find_marker(label), find_marker(channel.marker)
    if not found or kind == "dump" or _same_antigen(found, wanted):
        return False
    if kind is not None and wanted_kind is not None:
        return True
    others = (standard_marker(other.marker) for other in panel if other != channel)
    return found in others


def _same_antigen(one: str, other: str) -> bool:
    """Return whether two names differ at most by a chain or isoform, as CD8 and CD8a do."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    rest = long.removeprefix(short)
    return short == long or (long.startswith(short) and rest.isalpha() and len(rest) <= 2)


def _range_problems(files: Sequence[_File], panel: Sequence[Channel]) -> list[HeaderProblem]:
    """Name the files whose scale ends elsewhere than in most files."""
    problems, without_scale = [], []
    for channel in panel:
        if channel.kind not in _COMPARED_RANGES or is_mass_channel(channel.channel):
            continue
        tops: dict[float, list[str]] = defaultdict(list)
        for file in files:
            if column := _column(file.found, channel):
                tops[file.found.ranges[column - 1]].append(file.sample.path)
        by_number = sorted(tops.items(), key=lambda item: -len(item[1]))
        if len(tops) > max(3, len(files) / 4):
            without_scale.append(channel.channel)
        elif len(tops) > 1:
            odd = "; ".join(f"{top:.10g} in {_some(names)}" for top, names in by_number[1:])
            message = (
                f'channel "{channel.channel}" ({channel.marker}) ranges to {by_number[0][0]:.10g} '
                f"in most files, but to {odd}; were the settings changed?"
            )
            problems.append(HeaderProblem("warning", "", "", message))
    if without_scale:
        message = (
            f"the range ($PnR) of {_some(without_scale)} differs from file to file, as where other "
            "software has rewritten the files; export the files as acquired"
        )
        problems.append(HeaderProblem("warning", "", "", message))
    return problems


def _patient_problems(files: Sequence[_File]) -> list[HeaderProblem]:
    """Warn where a patient's files come from several cytometers, or a visit's from several days."""
    cytometers: dict[str, dict[str, str]] = defaultdict(dict)
    days: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for sample, _, header in files:
        if header and header.cytometer:
            cytometers[sample.patient_id].setdefault(header.cytometer, sample.path)
        if header and header.date:
            visit = (sample.patient_id, sample.visit)
            days[visit].setdefault(iso_date(header.date), sample.path)
    problems = [
        f'patient "{patient}" was measured on more than one cytometer: {_with_files(found)}; a '
        "change between them cannot be told from a change of the patient"
        for patient, found in cytometers.items()
        if len(found) > 1
    ]
    problems += [
        f'visit "{visit}" of patient "{patient}" was measured on more than one day: '
        f"{_with_files(found)}; are these files of one visit?"
        for (patient, visit), found in days.items()
        if len(found) > 1
    ]
    return [HeaderProblem("warning", "", "", message) for message in problems]


def _matrix_problems(files: Sequence[_File]) -> list[HeaderProblem]:
    """Warn where some files hold a spillover matrix and others do not."""
    without = [file for file in files if not file.found.spillover_channels]
    if not without or len(without) == len(files):
        return []
    message = (
        f"{len(without)} of {len(files)} FCS files hold no spillover matrix, the others do: "
        f"{_some([file.sample.path for file in without])}; such files are not compensated "
        "unless flow.compensation gives a matrix, and cannot be compared with those that are"
    )
    return [HeaderProblem("warning", "", "", message)]


def _file_row(file: _File) -> dict[str, Any]:
    sample, header = file.sample, file.header
    row: dict[str, Any] = {
        "sample_id": sample.sample_id,
        "patient_id": sample.patient_id,
        "visit": sample.visit,
        "batch": sample.batch,
        "file": sample.path,
        "bytes": file.path.stat().st_size if file.path.is_file() else None,
    }
    if header is None:
        return row
    named = zip(header.channels, header.markers, strict=True)
    dyes = [dye_of(channel) or dye_of(label) for channel, label in named]
    return row | {
        "fcs_version": header.version,
        "events": header.n_events,
        "channels": len(header.channels),
        "cytometer": header.cytometer,
        "date": iso_date(header.date),
        "datatype": header.datatype,
        "fluorochromes": ", ".join(_distinct(dyes)),
        "compensation": bool(header.spillover_channels),
    }


def _channel_rows(files: Sequence[_File], panel: Sequence[Channel]) -> list[dict[str, Any]]:
    batches: dict[str, list[FcsHeader]] = defaultdict(list)
    for file in files:
        batches[file.sample.batch].append(file.found)
    return [
        {
            "marker": channel.marker,
            "channel": channel.channel,
            "kind": channel.kind,
            "batch": batch,
            **_measured_in(headers, channel),
        }
        for channel in panel
        for batch, headers in batches.items()
    ]


def _measured_in(headers: Sequence[FcsHeader], channel: Channel) -> dict[str, Any]:
    found = [
        (header.channels[column - 1], header.markers[column - 1], header.ranges[column - 1])
        for header in headers
        if (column := _column(header, channel))
    ]
    tops = [top for *_, top in found if top == top]
    return {
        "files_with": len(found),
        "files_without": len(headers) - len(found),
        "names": ", ".join(_distinct(name for name, *_ in found)),
        "labels": ", ".join(_distinct(label for _, label, _ in found)),
        "range_min": min(tops, default=None),
        "range_max": max(tops, default=None),
    }


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None


def _events(header: FcsHeader) -> str:
    return f"{header.n_events} event" + ("s" if header.n_events != 1 else "")


def _distinct(words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word]


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_FILES
    return ", ".join(names[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")


def _with_files(found: Mapping[str, str]) -> str:
    return ", ".join(f"{what} ({file})" for what, file in found.items())
