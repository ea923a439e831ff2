"""What a run tells on the terminal, in plain words: which step of which sample, and what failed.

Snakemake tells every job with the names of all its files, hundreds of them for a cohort. Its
messages go through one handler for the terminal and another for `.snakemake/log`; the first is
replaced here, the second keeps every detail. What is not known here is told in Snakemake's own way.
"""

import logging
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

# A job of one of these is "sample 3 of 43".
_COUNTED = ("sample", "patient", "library")
# Where nobody looks at a terminal, as in a file that the output goes to.
_WIDTH = 140
_MOST_LINES = 12
# What Snakemake says beside its events and a reader need not know.
_LEFT_OUT = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Using shell:",
    "Select jobs to execute",
    "Shutting down, this might take some time",
    "Touching output file",
)
_SILENT = ("workflow_started", "resources_info", "job_started")
# What a killed run, or one that is still at work, makes Snakemake say with a list of files.
_OTHER_RUNS = {
    "Directory cannot be locked": (
        "Directory cannot be locked: another run is at work in this folder; wait for its end. If "
        "none is, an earlier one was killed: snakemake --unlock, then start again with "
        "--rerun-incomplete."
    ),
    "The files below seem to be incomplete": (
        "Files are unfinished: another run is at work in this folder, or an earlier one was killed "
        "or its disk was full. If none is at work, start again with --rerun-incomplete: what was "
        "left unfinished is made anew, all else is kept."
    ),
}
_LAST_WORDS = ("Exiting because a job execution failed", "At least one job did not complete")


class Story:
    """What is told of a run, event by event.

    The events are those of Snakemake 9 (`snakemake_interface_logger_plugins.common.LogEvent`).
    """

    def __init__(self) -> None:
        self.planned: dict[str, int] = {}
        self.started: Counter[str] = Counter()
        self.words: dict[int, str] = {}
        self.failed: dict[int, tuple[str, str, str]] = {}
        self.summarised = False

    def tell(self, record: logging.LogRecord, width: int = _WIDTH) -> str | None:
        """Return what the terminal shows of a record.

        Parameters
        ----------
        record
            A record of Snakemake's logger.
        width
            Columns of the terminal.

        Returns
        -------
        str | None
            Lines without the last line end; empty where nothing is to be shown; None where
            Snakemake's own words are.
        """
        event = getattr(record, "event", None)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        if event is None or event == "error":
            return self._said(record)
        if event == "run_info":
            self.planned = dict(vars(record)["stats"])
            return f"{clock}  {self.planned['total']} steps to do"
        # With --printshellcmds Snakemake says of every script that it has no shell command.
        if event in _SILENT or (event == "shellcmd" and not self._has_command(vars(record))):
            return ""
        if not self.planned:
            return None
        if event == "job_info":
            return self._job(vars(record), clock, width)
        if event == "job_finished":
            self.failed.pop(vars(record)["job_id"], None)
            return ""
        if event == "job_error":
            return self._failure(vars(record), clock, width)
        if event == "progress":
            done, total = vars(record)["done"], vars(record)["total"]
            return f"{clock}  all {total} steps done" if done == total else ""
        return None

    @staticmethod
    def _has_command(job: dict[str, Any]) -> bool:
        return bool(job.get("shellcmd") or job.get("cmd"))

    def _job(self, job: dict[str, Any], clock: str, width: int) -> str:
        if not job["rule_msg"] and not job["output"]:
            # The rule that asks for all results.
            return ""
        rule, log = job["rule_name"], job["log"]
        if job["jobid"] not in self.words:
            self.started[rule] += 1
            self.words[job["jobid"]] = _step(job) + self._place(job)
        total = self.planned["total"]
        number = f"{len(self.words):>{len(str(total))}} of {total}"
        return _line(f"{clock}  {number}  {self.words[job['jobid']]}", log, width)

    def _place(self, job: dict[str, Any]) -> str:
        """Return which of how many jobs of its rule a job is."""
        planned = self.planned.get(job["rule_name"], 1)
        if planned == 1:
            return ""
        kind = [f"{name} " for name in _COUNTED if [name] == list(job["wildcards"])]
        return f" ({''.join(kind)}{self.started[job['rule_name']]} of {planned})"

    def _failure(self, job: dict[str, Any], clock: str, width: int) -> str:
        words = self.words.get(job["jobid"], job["rule_name"])
        log = job["log"][0] if job["log"] else ""
        # A cluster says in its own words what became of a job.
        sentences = (job["rule_msg"], _last_sentence(log, job["rule_name"]))
        self.failed[job["jobid"]] = (words, "\n".join(filter(None, sentences)), log)
        return _line(f"{clock}  FAILED  {words}", job["log"], width)

    def _said(self, record: logging.LogRecord) -> str | None:
        text = str(record.msg).strip()
        if self.failed and any(words in text for words in _LAST_WORDS):
            return self._summary()
        for theirs, ours in _OTHER_RUNS.items():
            if theirs in text:
                return ours
        # The script has said on the terminal what is wrong; its command line is in the log.
        if self.words and "CalledProcessError in file" in text:
            return ""
        return "" if record.levelno <= logging.INFO and text.startswith(_LEFT_OUT) else None

    def _summary(self) -> str:
        """Return what failed, once: Snakemake says at two places that something did."""
        if self.summarised:
            return ""
        self.summarised = True
        number = len(self.failed)
        lines = [f"\n{number} {'step' if number == 1 else 'steps'} failed:"]
        for words, sentence, log in self.failed.values():
            lines += [f"- {words}", *(f"  {line}" for line in sentence.splitlines())]
            lines += [f"  log: {log}"] if log else []
        return "\n".join([*lines, "Mend this and start again: what is finished is kept."])


class PlainHandler(logging.Handler):
    """Tells a run on the terminal in plain words, and leaves the rest to Snakemake's handler.

    Parameters
    ----------
    standard
        Snakemake's handler for the terminal.
    """

    def __init__(self, standard: logging.StreamHandler[Any]) -> None:
        super().__init__(standard.level)
        self.standard = standard
        self.story = Story()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, in Snakemake's way where it has another form than expected."""
        try:
            words = self.story.tell(record, shutil.get_terminal_size((_WIDTH, 24)).columns)
        except Exception:
            words = None
        if words is None:
            self.standard.handle(record)
        elif words:
            decorate = getattr(self.standard, "decorate", None)
            if decorate and record.levelno >= logging.ERROR:
                words = decorate(record, words)
            try:
                self.standard.stream.write(f"{words}\n")
                self.standard.flush()
            except OSError:
                self.handleError(record)


def show_progress(workflow: Any) -> None:
    """Tell a run on the terminal in plain words, unless its user asked for other words.

    Dry runs, `--quiet`, `--verbose`, `--debug-dag`, `--show-failed-logs` and loggers of the user's
    choice are left alone, and so are the processes that Snakemake starts for single jobs.

    Parameters
    ----------
    workflow
        Snakemake's object of that name, at the time the Snakefile is read.
    """
    try:
        manager, settings = workflow.logger_manager, workflow.output_settings
        if not workflow.is_main_process or _wants_other_words(settings):
            return
        standard = [h for h in manager.logger.handlers if h.name == "DefaultStreamHandler"]
    except AttributeError:
        # Another Snakemake, which tells its runs in its own way.
        return
    for handler in standard:
        manager.logger.removeHandler(handler)
        manager.logger.addHandler(PlainHandler(handler))
    # Where `.snakemake/log` is on a full disk, each line would be followed by a traceback.
    logging.raiseExceptions = False


def _wants_other_words(settings: Any) -> bool:
    return bool(
        settings.dryrun
        or settings.quiet
        or settings.verbose
        or settings.debug_dag
        or settings.show_failed_logs
    )


def _step(job: dict[str, Any]) -> str:
    if job.get("rule_msg"):
        return str(job["rule_msg"])
    wildcards = ", ".join(map(str, job.get("wildcards", {}).values()))
    return f"{job['rule_name']} {wildcards}".strip()


def _line(words: str, logs: list[str], width: int) -> str:
    """Return what is going on, and at the right end of the line where its log is."""
    log = f"log: {logs[0]}" if logs else ""
    gap = max(2, width - len(words) - len(log) - 1)
    return f"{words}{' ' * gap}{log}".rstrip()


def _last_sentence(log: str, rule: str) -> str:
    """Return what a script wrote last: after the name of its rule, else the last line."""
    try:
        text = Path(log).read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
    _, found, sentence = f"\n{text}".rpartition(f"\n{rule}: ")
    lines = sentence.splitlines() if found else text.splitlines()[-1:]
    more = [f"... {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return "\n".join(lines[:_MOST_LINES] + more)
