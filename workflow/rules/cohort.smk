# REQUIRED INPUTS: the sheets of the config.
# OUTPUTS: results/cohort/samples.tsv (samples with treatment, level and clinical values),
#          results/cohort/pairs.tsv (every pair the contrasts ask for, complete or not),
#          results/cohort/problems.tsv, design.md (what is wrong; the design in words),
#          results/provenance/files.tsv, results/cohort/channels.tsv (instruments, checksums and
#          channels, from the files),
#          results/provenance/ (config and sheets as used, versions);
#          the demo only: simulated FCS files and their truth.


rule check_cohort:
    input:
        SHEETS,
        GATING_SHEETS,
        fcs=[fcs_path(sample) for sample in FLOW_SAMPLES.values()],
    output:
        samples=OUT / "cohort" / "samples.tsv",
        pairs=OUT / "cohort" / "pairs.tsv",
        patients=OUT / "cohort" / "patients.tsv",
        problems=report(
            OUT / "cohort" / "problems.tsv",
            caption="../report/problems.rst",
            category="Cohort",
            subcategory="Tables",
            labels={
                "question": "What did the checks of the sheets find?",
                "form": "table",
            },
        ),
        design=OUT / "cohort" / "design.md",
        drug_notes=OUT / "cohort" / "drug_notes.tsv",
    log:
        log_path("check_cohort"),
    benchmark:
        benchmark_path("check_cohort")
    # First of all jobs, so that a mistake shows within seconds. No job waits for its output just to
    # be later: an `ancient` input that is remade hides changes of other inputs from Snakemake.
    priority: 100
    resources:
        mem_mb=memory(500),
        runtime=minutes(5),
    params:
        code=code_digest("biocross.cohort.overview"),
        contrast=config["design"]["contrast"],
        levels=config["design"]["levels"],
        contrasts=config["design"]["contrasts"],
    message:
        "Checking samples, patients and pairs"
    script:
        "../scripts/check_cohort.py"


if FLOW_SAMPLES:

    rule describe_files:
        input:
            fcs=[fcs_path(sample) for sample in FLOW_SAMPLES.values()],
            samples=INPUTS["samples"],
            panel=INPUTS["panel"],
        output:
            files=OUT / "provenance" / "files.tsv",
            channels=OUT / "cohort" / "channels.tsv",
        log:
            log_path("describe_files"),
        benchmark:
            benchmark_path("describe_files")
        resources:
            mem_mb=memory(500),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.cohort.instruments"),
        message:
            "Describing instruments, dates and channels of all files"
        script:
            "../scripts/describe_files.py"


rule record_provenance:
    input:
        SHEETS,
        GATING_SHEETS,
    output:
        config=OUT / "provenance" / "config.yaml",
        versions=OUT / "provenance" / "versions.tsv",
        inputs=OUT / "provenance" / "inputs.tsv",
    log:
        log_path("record_provenance"),
    benchmark:
        benchmark_path("record_provenance")
    resources:
        mem_mb=memory(500),
        runtime=minutes(5),
    params:
        code=code_digest("biocross.cohort.provenance"),
        config=str(config),
    message:
        "Recording configuration, sheets and versions"
    script:
        "../scripts/record_provenance.py"


if "simulate" in config:
    TRUTH = Path(INPUTS["folder"]) / "truth"

    rule simulate_cohort:
        input:
            study=description_files(Path(config["simulate"]["study"])),
            samples=INPUTS["samples"],
            patients=INPUTS["patients"],
        output:
            fcs=[fcs_path(sample) for sample in FLOW_SAMPLES.values()],
            libraries=[library_path(library) for library in LIBRARIES.values()],
            clinical=Path(INPUTS["folder"]) / "clinical.tsv",
            patients=TRUTH / "patients.tsv",
            flow=[
                TRUTH / "flow" / f"{name}.tsv"
                for name in ("effects", "counts", "markers")
            ],
            events=[
                TRUTH / "flow" / "events" / f"{name}.arrow" for name in FLOW_SAMPLES
            ],
            rna=[
                TRUTH / "rna" / f"{name}.tsv"
                for name in ("effects", "counts", "genes", "cells")
                if LIBRARIES
            ],
        log:
            log_path("simulate_cohort"),
        benchmark:
            benchmark_path("simulate_cohort")
        threads: 2
        resources:
            mem_mb=memory(1500),
            runtime=minutes(30),
        params:
            code=code_digest("biocross.simulate.flow.cohort"),
            rna_code=code_digest("biocross.simulate.rna.libraries"),
            seed=config["simulate"]["seed"],
        message:
            "Simulating the FCS files and single-cell libraries of the demo cohort"
        script:
            "../scripts/simulate_cohort.py"


onstart:
    start_at_once(workflow)
    for problem in PROBLEMS:
        print(f"warning: {problem}")
