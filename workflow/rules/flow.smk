# REQUIRED INPUTS: the FCS files of samples.tsv, panel.tsv, populations.yaml, gating.yaml.
# OUTPUTS: results/flow/transforms.tsv and .xml, results/flow/events/{sample}.arrow,
#          results/flow/quality/{ledger,repairs,warnings,sanity}.tsv,
#          results/flow/gating/{thresholds,modes}.tsv,
#          results/flow/counts.tsv, results/flow/expression.tsv.


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
            ),
            controls=OUT / "flow" / "compensation" / "controls.tsv",
        log:
            log_path("estimate_spillover"),
        benchmark:
            benchmark_path("estimate_spillover")
        resources:
            mem_mb=2000,
            runtime=20,
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
        mem_mb=2000,
        runtime=60,
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
        events=OUT / "flow" / "events" / "{sample}.arrow",
        **{
            name: OUT / "flow" / "quality" / "samples" / f"{{sample}}.{name}.tsv"
            for name in QUALITY_TABLES
        },
    log:
        log_path("prepare_flow_sample", "{sample}"),
    benchmark:
        benchmark_path("prepare_flow_sample", "{sample}")
    resources:
        mem_mb=lambda wildcards, input, attempt: 500 * attempt + 8 * int(input.size_mb),
        runtime=20,
    params:
        code=code_digest("biocross.flow.prepare"),
        cytometry=config["flow"]["cytometry"],
        compensation=config["flow"]["compensation"],
        skip_quality=config["flow"]["skip_quality"],
        meta=lambda wildcards: [
            getattr(FLOW_FILES[wildcards.sample], name) for name in META_NAMES
        ],
        batch=lambda wildcards: FLOW_FILES[wildcards.sample].batch,
    message:
        "Reading, compensating and transforming {wildcards.sample}"
    script:
        "../scripts/prepare_flow_sample.py"


GATES = {
    "strategy": INPUTS["gating"] or [],
    "populations": INPUTS["populations"],
    "panel": INPUTS["panel"] or [],
    "transforms": rules.estimate_transforms.output.transforms,
}


rule estimate_thresholds:
    input:
        **GATES,
        events=lambda wildcards: [
            *events_of_patient(wildcards),
            *fmo_events_of_patient(wildcards),
        ],
    output:
        estimates=OUT / "flow" / "gating" / "patients" / "{patient}.estimates.tsv",
    log:
        log_path("estimate_thresholds", "{patient}"),
    benchmark:
        benchmark_path("estimate_thresholds", "{patient}")
    resources:
        mem_mb=lambda wildcards, input, attempt: 500 * attempt + 4 * int(input.size_mb),
        runtime=20,
    params:
        code=code_digest("biocross.flow.gating"),
        by_stimulation=config["design"]["contrast"] != "stimulation",
    message:
        "Estimating the borders of {wildcards.patient} on all visits together"
    script:
        "../scripts/estimate_thresholds.py"


rule settle_thresholds:
    input:
        **GATES,
        estimates=per_patient("estimates"),
    output:
        thresholds=report(
            OUT / "flow" / "gating" / "thresholds.tsv",
            caption="../report/thresholds.rst",
            category="Flow cytometry",
        ),
    log:
        log_path("settle_thresholds"),
    benchmark:
        benchmark_path("settle_thresholds")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.flow.settled_thresholds"),
    message:
        "Comparing the borders of all patients"
    script:
        "../scripts/settle_thresholds.py"


rule gate_patient:
    input:
        **GATES,
        events=events_of_patient,
        thresholds=rules.settle_thresholds.output.thresholds,
    output:
        **{
            name: OUT / "flow" / "gating" / "patients" / f"{{patient}}.{name}.tsv"
            for name in GATING_TABLES
        },
    log:
        log_path("gate_patient", "{patient}"),
    benchmark:
        benchmark_path("gate_patient", "{patient}")
    resources:
        mem_mb=lambda wildcards, input, attempt: 500 * attempt + 4 * int(input.size_mb),
        runtime=20,
    params:
        code=code_digest("biocross.flow.gating"),
    message:
        "Gating all visits of {wildcards.patient}"
    script:
        "../scripts/gate_patient.py"


rule summarise_flow:
    input:
        **{name: per_sample(name) for name in QUALITY_TABLES},
        **{name: per_patient(name) for name in GATING_TABLES},
    output:
        counts=OUT / "flow" / "counts.tsv",
        expression=OUT / "flow" / "expression.tsv",
        modes=OUT / "flow" / "gating" / "modes.tsv",
        shifts=OUT / "flow" / "gating" / "shifts.tsv",
        unknown=OUT / "flow" / "gating" / "unknown.tsv",
        ledger=report(
            OUT / "flow" / "quality" / "ledger.tsv",
            caption="../report/ledger.rst",
            category="Flow cytometry",
        ),
        repairs=report(
            OUT / "flow" / "quality" / "repairs.tsv",
            caption="../report/repairs.rst",
            category="Flow cytometry",
        ),
        warnings=report(
            OUT / "flow" / "quality" / "warnings.tsv",
            caption="../report/warnings.rst",
            category="Flow cytometry",
        ),
        sanity=report(
            OUT / "flow" / "quality" / "sanity.tsv",
            caption="../report/sanity.rst",
            category="Flow cytometry",
        ),
    log:
        log_path("summarise_flow"),
    benchmark:
        benchmark_path("summarise_flow")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.flow.summary"),
    message:
        "Gathering the tables of all samples and patients"
    script:
        "../scripts/summarise_flow.py"


rule find_quality_losses:
    input:
        ledger=rules.summarise_flow.output.ledger,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        losses=report(
            OUT / "flow" / "quality" / "loss_changes.tsv",
            caption="../report/quality_losses.rst",
            category="Flow cytometry",
        ),
        sample_losses=OUT / "flow" / "quality" / "sample_losses.tsv",
    log:
        log_path("find_quality_losses"),
    benchmark:
        benchmark_path("find_quality_losses")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.statistics.quality_loss"),
    message:
        "Testing whether one visit lost more events than the other"
    script:
        "../scripts/find_quality_losses.py"


rule measure_marker_shifts:
    input:
        modes=rules.summarise_flow.output.modes,
        transforms=rules.estimate_transforms.output.transforms,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        shifts=OUT / "flow" / "gating" / "marker_shifts.tsv",
        summary=report(
            OUT / "flow" / "gating" / "marker_shift_summary.tsv",
            caption="../report/marker_shifts.rst",
            category="Flow cytometry",
        ),
    log:
        log_path("measure_marker_shifts"),
    benchmark:
        benchmark_path("measure_marker_shifts")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.flow.marker_shifts"),
    message:
        "Measuring how far the markers of the gates moved between visits"
    script:
        "../scripts/measure_marker_shifts.py"
