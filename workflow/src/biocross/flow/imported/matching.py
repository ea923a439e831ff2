"""Match the samples of a FlowJo workspace to the files of the cohort."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple
from urllib.parse import unquote

from biocross.flow.imported.model import WorkspaceSample


class CohortFile(NamedTuple):
    """A flow sample of the cohort.

    Parameters
    ----------
    sample_id
        Its name in ``samples.tsv``.
    path
        Its FCS file.
    file_name
        ``$FIL`` of that file.
    n_events
        ``$TOT`` of that file; None where it is not known.
    """

    sample_id: str
    path: str
    file_name: str = ""
    n_events: int | None = None


class Match(NamedTuple):
    """What became of one sample of the cohort.

    Parameters
    ----------
    sample_id
        The sample.
    key
        Key of its sample in the workspace; empty without a match.
    by
        ``file name``, ``URI`` or ``$FIL``; empty without a match.
    note
        In words: why there is no match, or what the match lacks.
    """

    sample_id: str
    key: str
    by: str
    note: str = ""


class Matching(NamedTuple):
    """The samples of the cohort, and those of the workspace that are not in it."""

    matches: tuple[Match, ...]
    not_in_cohort: tuple[WorkspaceSample, ...]

    @property
    def not_in_workspace(self) -> tuple[Match, ...]:
        """Samples of the cohort without gates."""
        return tuple(match for match in self.matches if not match.key)

    @property
    def keys(self) -> dict[str, str]:
        """Key of the workspace's sample by sample of the cohort."""
        return {match.sample_id: match.key for match in self.matches if match.key}


def match_samples(workspace: Sequence[WorkspaceSample], cohort: Sequence[CohortFile]) -> Matching:
    """Match by file name, then by URI, then by ``$FIL``, each confirmed by ``$TOT``.

    Real files share their ``$FIL``, and files of different folders share their name; therefore a
    criterion counts only where it leaves one candidate. Several candidates of one name are told
    apart by the number of events and then by the end of the path. A file whose number of events
    is another than FlowJo saw is not the file that was gated.

    Parameters
    ----------
    workspace
        Samples of the workspace.
    cohort
        Files of the cohort.

    Returns
    -------
    Matching
        One `Match` per file of the cohort, in their order; no sample of the workspace is matched
        twice.
    """
    shared_fil = _shared(file.file_name for file in cohort)
    matches = [_match(file, workspace, shared_fil) for file in cohort]
    matches = _without_rivals(matches, workspace)
    taken = {match.key for match in matches}
    return Matching(
        tuple(matches), tuple(sample for sample in workspace if sample.key not in taken)
    )


def _shared(names: Iterable[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}


def _match(file: CohortFile, workspace: Sequence[WorkspaceSample], shared_fil: set[str]) -> Match:
    name = path_parts(file.path)[-1].casefold()
    criteria: tuple[tuple[str, Callable[[WorkspaceSample], bool]], ...] = (
        ("file name", lambda sample: sample.name.casefold() == name),
        ("URI", lambda sample: path_parts(sample.uri)[-1].casefold() == name),
        ("$FIL", lambda sample: bool(file.file_name) and sample.file_name == file.file_name),
    )
    seen = []
    for by, holds in criteria:
        candidates = [sample for sample in workspace if holds(sample)]
        fitting = [sample for sample in candidates if _same_events(sample, file)]
        if by == "$FIL" and (len(fitting) > 1 or file.file_name in shared_fil):
            if fitting:
                seen.append(f'the $FIL "{file.file_name}" is not unique')
            continue
        if len(fitting) > 1:
            fitting = _nearest(fitting, file.path)
        if len(fitting) == 1:
            return Match(file.sample_id, fitting[0].key, by, _unconfirmed(fitting[0], file))
        if len(fitting) > 1:
            names = ", ".join(f'"{sample.uri or sample.name}"' for sample in fitting[:3])
            seen.append(f"several samples have its {by}: {names}")
        elif candidates:
            counts = " or ".join(sorted({str(sample.n_events) for sample in candidates}))
            seen.append(
                f"a sample has its {by}, but {counts} events where the file has {file.n_events}"
            )
    note = "; ".join(dict.fromkeys(seen)) or "no sample of the workspace has its file name or $FIL"
    return Match(file.sample_id, "", "", note)


def _same_events(sample: WorkspaceSample, file: CohortFile) -> bool:
    return None in (sample.n_events, file.n_events) or sample.n_events == file.n_events


def _unconfirmed(sample: WorkspaceSample, file: CohortFile) -> str:
    if None in (sample.n_events, file.n_events):
        return "not confirmed by the number of events ($TOT), which one of the two does not say"
    return ""


def path_parts(path: str) -> list[str]:
    """Return the parts of a path or URI of any operating system; at least one, maybe empty."""
    text = unquote(path).replace("\\", "/") if ":" in path[:5] or "%" in path else path
    if "\\" in text:
        return list(PureWindowsPath(text).parts) or [""]
    return list(PurePosixPath(text).parts) or [""]


def _nearest(candidates: list[WorkspaceSample], path: str) -> list[WorkspaceSample]:
    """Keep the candidates whose URI has the longest end in common with a path."""
    common = [_common_end(path_parts(sample.uri), path_parts(path)) for sample in candidates]
    longest = max(common)
    return [sample for sample, n in zip(candidates, common, strict=True) if n == longest]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a.casefold() != b.casefold():
            break
        n += 1
    return n


def _without_rivals(matches: list[Match], workspace: Sequence[WorkspaceSample]) -> list[Match]:
    """Drop every match of a workspace's sample that several files claim."""
    claims = defaultdict(list)
    for match in matches:
        if match.key:
            claims[match.key].append(match)
    names = {sample.key: sample.name for sample in workspace}
    order = ("file name", "URI", "$FIL")
    kept = []
    for match in matches:
        rivals = claims.get(match.key, [match])
        best = min(order.index(rival.by) for rival in rivals) if match.key else 0
        strongest = [rival for rival in rivals if match.key and order.index(rival.by) == best]
        if match.key and (len(strongest) > 1 or match not in strongest):
            others = ", ".join(r.sample_id for r in rivals if r is not match)
            note = f'"{names[match.key]}" of the workspace fits {others} as well'
            match = Match(match.sample_id, "", "", note)
        kept.append(match)
    return kept
