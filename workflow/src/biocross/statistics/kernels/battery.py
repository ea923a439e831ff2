"""Every test of one table of changes, side by side."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.statistics.kernels.exact import hodges_lehmann, rank_biserial, wilcoxon_signed_rank
from biocross.statistics.kernels.moderation import (
    PairedTest,
    moderated_paired_t,
    plain_paired_t,
)
from biocross.statistics.kernels.permutation import sign_flip_test
from biocross.statistics.kernels.power import (
    FoldRange,
    detectable_fold,
    detectable_fold_range,
    equivalence_test,
)

FloatArray = NDArray[np.float64]
ALPHA = 0.05


class Battery(NamedTuple):
    """The primary test of each population and what stands beside it; shapes (populations,).

    Parameters
    ----------
    primary
        Capped, trend-moderated paired t (logit or log units).
    wilcoxon_p
        Exact signed-rank p value.
    signflip_p, signflip_fwer_p
        Sign-flip p value, alone and corrected for all populations of the table by max-T.
    hodges_lehmann, rank_biserial
        Robust estimate (logit or log units) and effect size in [-1, 1].
    detectable_fold, detectable_range
        Fold change found with 80 % power at the 5 % level, given the variance seen, and the range
        that the uncertainty of this variance leaves.
    equivalent
        Whether the 90 % interval lies within 0.8 to 1.25.
    agreement
        How many of the three tests agree with the primary one in significance and sign.
    """

    primary: PairedTest
    wilcoxon_p: FloatArray
    signflip_p: FloatArray
    signflip_fwer_p: FloatArray
    hodges_lehmann: FloatArray
    rank_biserial: FloatArray
    detectable_fold: FloatArray
    detectable_range: FoldRange
    equivalent: NDArray[np.bool_]
    agreement: NDArray[np.int64]


def run_battery(differences: FloatArray, abundance: FloatArray | None, seed: int) -> Battery:
    """Run all tests on a table of within-patient changes.

    Parameters
    ----------
    differences
        Shape (patients, populations), logit or log units; NaN where a pair is incomplete.
    abundance
        Trend covariate of the variances, shape (populations,); None for no trend.
    seed
        Of the sign flips, where there are too many patients to enumerate them.

    Returns
    -------
    Battery
        Fields of shape (populations,).
    """
    return beside(moderated_paired_t(differences, abundance), differences, seed)


def beside(primary: PairedTest, differences: FloatArray, seed: int) -> Battery:
    """Put the exact and resampling tests beside a primary test.

    Parameters
    ----------
    primary
        The primary test of the same changes.
    differences, seed
        As for `run_battery`.

    Returns
    -------
    Battery
        Fields of shape (populations,).
    """
    wilcoxon = wilcoxon_signed_rank(differences)
    flips = sign_flip_test(differences, seed)
    location = hodges_lehmann(differences).estimate
    called = np.stack([primary.p, wilcoxon, flips.p]) < ALPHA
    signs = np.sign(np.stack([primary.estimate, location, primary.estimate]))
    same = (called == called[0]) & (~called[0] | (signs == signs[0]))
    spread = np.sqrt(primary.s2_post), primary.n_pairs, primary.df
    return Battery(
        primary=primary,
        wilcoxon_p=wilcoxon,
        signflip_p=flips.p,
        signflip_fwer_p=flips.fwer_p,
        hodges_lehmann=location,
        rank_biserial=rank_biserial(differences),
        detectable_fold=detectable_fold(*spread),
        detectable_range=detectable_fold_range(*spread),
        equivalent=equivalence_test(
            primary.estimate, primary.standard_error, primary.df
        ).equivalent,
        agreement=same.sum(axis=0),
    )


def plain_battery(differences: FloatArray, _abundance: FloatArray | None, seed: int) -> Battery:
    """Run all tests with the plain paired t as the primary one; as `run_battery`."""
    return beside(plain_paired_t(differences), differences, seed)


def wilcoxon_battery(differences: FloatArray, _abundance: FloatArray | None, seed: int) -> Battery:
    """Run all tests with the exact signed-rank test as the primary one; as `run_battery`.

    The estimate and its interval are those of Hodges and Lehmann. There is no statistic with
    degrees of freedom, hence neither a detectable fold nor a verdict of equivalence.
    """
    plain = plain_paired_t(differences)
    location = hodges_lehmann(differences)
    testable = np.isfinite(plain.p)
    empty = np.full(testable.shape, np.nan)
    p, low, high = (
        np.where(testable, values, np.nan)
        for values in (wilcoxon_signed_rank(differences), location.low, location.high)
    )
    primary = plain._replace(
        estimate=location.estimate,
        standard_error=empty,
        t=empty,
        df=empty,
        p=p,
        low=low,
        high=high,
        s2_post=empty,
    )
    return beside(primary, differences, seed)


# What may be the primary test of a table of changes, seed and trend covariate given.
Tests = Callable[[FloatArray, FloatArray | None, int], Battery]
TESTS: dict[str, Tests] = {
    "moderated": run_battery,
    "plain_t": plain_battery,
    "wilcoxon": wilcoxon_battery,
}


def columns_of_tests(battery: Battery) -> dict[str, FloatArray]:
    """Return what every table of results says of its tests, by column; shapes (populations,).

    Parameters
    ----------
    battery
        Tests of one table of changes.

    Returns
    -------
    dict
        Numbers that do not depend on the scale of the effect.
    """
    return {
        "statistic": battery.primary.t,
        "df": battery.primary.df,
        "p_value": battery.primary.p,
        "wilcoxon_p": battery.wilcoxon_p,
        "signflip_p": battery.signflip_p,
        "signflip_fwer_p": battery.signflip_fwer_p,
        "rank_biserial": battery.rank_biserial,
    }
