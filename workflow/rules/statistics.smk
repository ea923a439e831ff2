# REQUIRED INPUTS: results/populations/counts.tsv and expression.tsv, results/cohort/samples.tsv.
# OUTPUTS: results/statistics/paired_changes.tsv, results/statistics/marker_changes.tsv.


rule find_paired_changes:
    input:
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
        populations=INPUTS["populations"],
    output:
        changes=report(
            OUT / "statistics" / "paired_changes.tsv",
            caption="../report/paired_changes.rst",
            category="Changes",
        ),
    log:
        log_path("find_paired_changes"),
    benchmark:
        benchmark_path("find_paired_changes")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.statistics.paired_changes"),
        confirmatory=[
            config["statistics"]["confirmatory"][part]
            for part in ("modality", "source", "readout")
        ],
        seed=config["statistics"]["seed"],
    message:
        "Testing whether population frequencies changed within patients"
    script:
        "../scripts/find_paired_changes.py"


rule find_marker_changes:
    input:
        **with_files(
            panel=INPUTS["panel"],
            transforms=rules.estimate_transforms.output.transforms,
        ),
        expression=rules.gather_populations.output.expression,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        changes=report(
            OUT / "statistics" / "marker_changes.tsv",
            caption="../report/marker_changes.rst",
            category="Changes",
        ),
    log:
        log_path("find_marker_changes"),
    benchmark:
        benchmark_path("find_marker_changes")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.statistics.marker_changes"),
        min_cells=config["statistics"]["min_cells"],
        seed=config["statistics"]["seed"],
    message:
        "Testing whether state markers changed within patients"
    script:
        "../scripts/find_marker_changes.py"
