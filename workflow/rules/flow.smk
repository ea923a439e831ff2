# REQUIRED INPUTS: the FCS files of samples.tsv, panel.tsv, populations.yaml, gating.yaml.
# OUTPUTS: results/flow/transforms.tsv, results/flow/events/{sample}.arrow,
#          results/flow/quality/ledger.tsv, results/flow/gating/thresholds.tsv,
#          results/flow/counts.tsv, results/flow/expression.tsv.


rule estimate_transforms:
    input:
        fcs=[fcs_path(sample) for sample in FLOW_SAMPLES.values()],
        panel=INPUTS["panel"] or [],
    output:
        transforms=OUT / "flow" / "transforms.tsv",
    log:
        log_path("estimate_transforms"),
    benchmark:
        benchmark_path("estimate_transforms")
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_digest("biocross.flow.prepare"),
        cytometry=config["flow"]["cytometry"],
        transform=config["flow"]["transform"],
        cofactor=config["flow"]["cofactor"],
    message:
        "Choosing one transform per channel for the cohort"
    script:
        "../scripts/estimate_transforms.py"


rule prepare_flow_sample:
    input:
        fcs=lambda wildcards: fcs_path(FLOW_SAMPLES[wildcards.sample]),
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
    output:
        events=OUT / "flow" / "events" / "{sample}.arrow",
        ledger=OUT / "flow" / "quality" / "samples" / "{sample}.ledger.tsv",
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
        patient_id=lambda wildcards: FLOW_SAMPLES[wildcards.sample].patient_id,
        tissue=lambda wildcards: FLOW_SAMPLES[wildcards.sample].tissue,
    message:
        "Reading, compensating and transforming {wildcards.sample}"
    script:
        "../scripts/prepare_flow_sample.py"


rule gate_patient:
    input:
        events=events_of_patient,
        strategy=INPUTS["gating"] or [],
        populations=INPUTS["populations"],
        panel=INPUTS["panel"] or [],
    output:
        thresholds=OUT / "flow" / "gating" / "patients" / "{patient}.thresholds.tsv",
        counts=OUT / "flow" / "gating" / "patients" / "{patient}.counts.tsv",
        expression=OUT / "flow" / "gating" / "patients" / "{patient}.expression.tsv",
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
        "Gating all visits of {wildcards.patient} together"
    script:
        "../scripts/gate_patient.py"


rule summarise_flow:
    input:
        counts=per_patient("counts"),
        expression=per_patient("expression"),
        thresholds=per_patient("thresholds"),
        ledgers=expand(rules.prepare_flow_sample.output.ledger, sample=FLOW_SAMPLES),
    output:
        counts=OUT / "flow" / "counts.tsv",
        expression=OUT / "flow" / "expression.tsv",
        thresholds=report(
            OUT / "flow" / "gating" / "thresholds.tsv",
            caption="../report/thresholds.rst",
            category="Flow cytometry",
        ),
        ledger=report(
            OUT / "flow" / "quality" / "ledger.tsv",
            caption="../report/ledger.rst",
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
        "Gathering the gates of all patients"
    script:
        "../scripts/summarise_flow.py"
