"""The words in which a run is told, record by record; with Snakemake: tests/workflow."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake.exceptions import IncompleteFilesException, LockException

from biocross.progress import PlainHandler, Story, show_progress

SETTINGS = {"dryrun": False, "quiet": None, "verbose": False, "debug_dag": False}


def record(event, text="", level=logging.INFO, **more):
    made = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    vars(made).update(more)
    if event:
        made.event = event
    return made


def job(jobid, rule="prepare", words="Preparing P01", log=("a.log",), **wildcards):
    return record(
        "job_info",
        jobid=jobid,
        rule_name=rule,
        rule_msg=words,
        log=list(log),
        output=["a.txt"],
        wildcards=wildcards,
    )


def failure(jobid, log, said=None):
    parts = {"rule_name": "prepare", "rule_msg": said, "log": [str(log)]}
    return record("job_error", jobid=jobid, level=logging.ERROR, **parts)


@pytest.fixture
def story():
    story = Story()
    story.tell(record("run_info", stats={"prepare": 2, "map": 4, "all": 1, "total": 7}))
    return story


def test_which_of_how_many(story):
    assert "1 of 7  Preparing P01 (sample 1 of 2)" in story.tell(job(4, sample="P01"))
    assert "2 of 7  Preparing P01 (sample 2 of 2)" in story.tell(job(5, sample="P02"))
    # A job of two wildcards is no sample; one that is tried again keeps its number of its rule.
    line = story.tell(job(6, "map", "Mapping P01", clusters="clusters", sample="P01"))
    assert "Mapping P01 (1 of 4)" in line
    assert "(sample 1 of 2)" in story.tell(job(4, sample="P01"))


def test_the_log_stands_at_the_right_end(story):
    line = story.tell(job(4, sample="P01"), width=100)
    assert len(line) == 99
    assert line.endswith("  log: a.log")
    assert story.tell(job(4, sample="P01"), width=20).endswith(")  log: a.log")


def test_rules_without_words(story):
    assert story.tell(job(1, "own_rule", None, log=(), x="P1")).endswith("own_rule P1")
    asking = job(0, "all", None, log=())
    asking.output = []
    assert story.tell(asking) == ""


def test_shell_commands_are_told_where_there_are_some(story):
    assert story.tell(record("shellcmd", "Shell command: None", shellcmd=None)) == ""
    assert story.tell(record("shellcmd", "Shell command: wc", shellcmd="wc")) is None


def test_a_failure_that_a_second_try_mends_is_not_summed_up(story, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("Traceback\nValueError: odd")
    for number in (4, 5):
        story.tell(job(number, sample="P01"))
        story.tell(failure(number, log, said="OUT_OF_MEMORY"))
    story.tell(record("job_finished", job_id=4))
    end = story.tell(record(None, "Exiting because a job execution failed. Look above"))
    assert "1 step failed" in end
    assert "  OUT_OF_MEMORY\n  ValueError: odd\n  log: " in end
    assert story.tell(record("error", "WorkflowError:\nAt least one job did not complete")) == ""


def test_long_sentences_are_cut_and_missing_logs_do_no_harm(story, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("prepare: first\n" + "problem\n" * 30)
    story.tell(failure(1, log))
    story.tell(failure(2, tmp_path / "none.log"))
    end = story.tell(record(None, "Exiting because a job execution failed"))
    assert "  first\n" in end
    assert "... 19 more lines" in end


@pytest.mark.parametrize(
    "unknown",
    [
        record("event_of_tomorrow"),
        record(None, "Something new"),
        record(None, "Building DAG of jobs went wrong", logging.WARNING),
        record("error", "WorkflowError:\nDisk full", logging.ERROR),
        record("job_error", level=logging.ERROR),
    ],
)
def test_what_is_unknown_is_told_in_snakemakes_way(unknown):
    out = io.StringIO()
    standard = logging.StreamHandler(out)
    standard.setFormatter(logging.Formatter("standard", validate=False))
    handler = PlainHandler(standard)
    handler.handle(unknown)
    # A field that is missing or has another form.
    handler.handle(record("run_info", stats=None))
    assert out.getvalue() == "standard\nstandard\n"


def workflow(name="DefaultStreamHandler", main=True, **settings):
    logger = logging.Logger("snakemake")
    handler = logging.StreamHandler(io.StringIO())
    handler.name = name
    logger.addHandler(handler)
    return SimpleNamespace(
        is_main_process=main,
        logger_manager=SimpleNamespace(logger=logger),
        output_settings=SimpleNamespace(**{**SETTINGS, "show_failed_logs": False, **settings}),
    )


def is_plain(run):
    show_progress(run)
    # A module reads the Snakefile a second time.
    show_progress(run)
    (handler,) = run.logger_manager.logger.handlers
    return isinstance(handler, PlainHandler)


def test_only_the_standard_terminal_is_replaced_once():
    assert is_plain(workflow())
    assert not is_plain(workflow(main=False))
    assert not is_plain(workflow(name="logger_of_the_user"))
    for setting in ("quiet", "dryrun", "verbose", "debug_dag", "show_failed_logs"):
        assert not is_plain(workflow(**{setting: True}))
    old = workflow()
    del old.output_settings.show_failed_logs
    assert not is_plain(old)


def test_what_a_killed_run_leaves_is_told_with_its_remedy(story):
    locked = str(LockException())
    told = story.tell(record("error", f"LockException:\n{locked}", logging.ERROR))
    assert "another run is at work in this folder" in told
    assert "snakemake --unlock" in told
    unfinished = str(IncompleteFilesException(["a.tsv"]))
    told = story.tell(record("error", unfinished, logging.ERROR))
    assert "start again with --rerun-incomplete" in told
