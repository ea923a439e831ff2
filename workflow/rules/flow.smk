# REQUIRED INPUTS: the FCS files of samples.tsv, panel.tsv.
# OUTPUTS: results/flow/compensation/ (from single stains), results/flow/transforms.tsv and .xml,
#          results/flow/events/{sample}.arrow, results/flow/quality/{ledger,repairs,warnings,sanity,
#          loss_changes,sample_losses,residual_spillover}.tsv.


if config["flow"]["compensation"] == "controls":

    rule estimate_spillover:
        input:
            controls=[fcs_path(control) for control in COHORT.controls],
            samples=INPUTS["samples"],
            panel=INPUTS["panel"],
        output:
            spillover=report(
                OUT / "flow" / "compensation" / "spillover.tsv",
                caption="../report/spillover.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={
                    "question": "What was the spillover of each batch?",
                    "form": "table",
                },
            ),
            controls=OUT / "flow" / "compensation" / "controls.tsv",
        log:
            log_path("estimate_spillover"),
        benchmark:
            benchmark_path("estimate_spillover")
        resources:
            mem_mb=memory(2000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.control_spillover"),
            roles=[control.role for control in COHORT.controls],
            stains=[control.control_for for control in COHORT.controls],
            batches=[control.batch for control in COHORT.controls],
        message:
            "Computing the spillover from single stains"
        script:
            "../scripts/estimate_spillover.py"


rule estimate_transforms:
    input:
        fcs=[fcs_path(sample) for sample in FLOW_SAMPLES.values()],
        panel=INPUTS["panel"] or [],
        matrix=compensation_matrix(),
    output:
        transforms=OUT / "flow" / "transforms.tsv",
        gatingml=OUT / "flow" / "transforms.xml",
    log:
        log_path("estimate_transforms"),
    benchmark:
        benchmark_path("estimate_transforms")
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        code=code_digest("biocross.flow.transform_choice"),
        cytometry=config["flow"]["cytometry"],
        transform=config["flow"]["transform"],
        cofactor=config["flow"]["cofactor"],
        compensation=config["flow"]["compensation"],
        batches=[sample.batch for sample in FLOW_SAMPLES.values()],
    message:
        "Choosing one transform per channel for the cohort"
    script:
        "../scripts/estimate_transforms.py"


rule prepare_flow_sample:
    input:
        fcs=lambda wildcards: fcs_path(FLOW_FILES[wildcards.sample]),
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
        matrix=compensation_matrix(),
    output:
        **{
            name: OUT / "flow" / "quality" / "samples" / f"{{sample}}.{name}.tsv"
            for name in QUALITY_TABLES
        },
        events=prepared_events(),
    log:
        log_path("prepare_flow_sample", "{sample}"),
    benchmark:
        benchmark_path("prepare_flow_sample", "{sample}")
    resources:
        mem_mb=memory(500, per_input=8),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.prepare"),
        cytometry=config["flow"]["cytometry"],
        compensation=config["flow"]["compensation"],
        skip_quality=config["flow"]["skip_quality"],
        meta=lambda wildcards: list(FLOW_FILES[wildcards.sample].meta),
        batch=lambda wildcards: FLOW_FILES[wildcards.sample].batch,
    message:
        "Reading, compensating and transforming {wildcards.sample}"
    script:
        "../scripts/prepare_flow_sample.py"


rule summarise_quality:
    input:
        **{name: per_sample(name) for name in QUALITY_TABLES},
    output:
        **{
            name: report(
                OUT / "flow" / "quality" / f"{name}.tsv",
                caption=f"../report/{name}.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={
                    "question": f"What did quality control find? ({name})",
                    "form": "table",
                },
            )
            for name in QUALITY_TABLES
        },
    log:
        log_path("summarise_quality"),
    benchmark:
        benchmark_path("summarise_quality")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.summary"),
    message:
        "Gathering what the quality steps of all samples found"
    script:
        "../scripts/summarise_flow.py"


rule find_quality_losses:
    input:
        ledger=rules.summarise_quality.output.ledger,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        losses=report(
            OUT / "flow" / "quality" / "loss_changes.tsv",
            caption="../report/quality_losses.rst",
            category="Flow cytometry",
            subcategory="Tables",
            labels={"question": "Do losses differ between visits?", "form": "table"},
        ),
        sample_losses=OUT / "flow" / "quality" / "sample_losses.tsv",
    log:
        log_path("find_quality_losses"),
    benchmark:
        benchmark_path("find_quality_losses")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.quality_loss"),
    message:
        "Testing whether one visit lost more events than the other"
    script:
        "../scripts/find_quality_losses.py"


rule find_residual_spillover:
    input:
        events=[OUT / "flow" / "events" / f"{sample}.arrow" for sample in FLOW_SAMPLES],
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
    output:
        residuals=report(
            OUT / "flow" / "quality" / "residual_spillover.tsv",
            caption="../report/residual_spillover.rst",
            category="Flow cytometry",
            subcategory="Tables",
            labels={"question": "Does light leak between detectors?", "form": "table"},
        ),
    log:
        log_path("find_residual_spillover"),
    benchmark:
        benchmark_path("find_residual_spillover")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.residual_spillover"),
    message:
        "Comparing between batches what compensation leaves"
    script:
        "../scripts/find_residual_spillover.py"
