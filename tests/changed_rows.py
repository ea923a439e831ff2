"""Rows of paired_changes.tsv, for tests of figures."""

NAN = float("nan")


def changed(population, effect=1.0, q=0.5, **more):
    """Return a tested row whose interval is the effect by and over 1.3."""
    return {
        **{"modality": "flow", "source": "gate", "treatment": "mepolizumab"},
        **{"contrast": "month_4 - baseline", "population": population, "parent": "lymphocytes"},
        **{"readout": "percent_of_parent", "n_pairs": 8, "events_median": 500.0},
        **{"baseline_median": 1.2, "followup_median": 2.4, "effect": effect},
        **{"effect_low": effect / 1.3, "effect_high": effect * 1.3, "effect_scale": "odds_ratio"},
        **{"effect_is_bound": False, "equivalent": False, "p_value": q / 2, "q_value": q},
        **{"family": "exploratory: all", "status": "tested", "note": ""},
        **more,
    }


def untested(population, status="too_few_pairs", **more):
    """Return a row that could not be tested."""
    unknown = ("effect", "effect_low", "effect_high", "p_value", "q_value")
    return changed(population, **dict.fromkeys(unknown, NAN), status=status, **more)
