"""Simulated controls of known spill: three kinds of cells, debris, autofluorescence, shot noise."""

import numpy as np
import pytest

from biocross.flow.single_stains import estimate_spill, fit_ellipse

TOP = 262_144.0
SIZE = 20
# Share, mean and spread of scatter, autofluorescence relative to the first kind.
KINDS = (
    (0.65, (6e4, 2e4), (7e3, 4e3), 1.0),
    (0.15, (9e4, 5e4), (1e4, 8e3), 2.0),
    (0.20, (8e4, 1.3e5), (1e4, 2.5e4), 3.0),
)
AUTOFLUORESCENCE = 150.0


class Instrument:
    """Draws spill matrices and records controls."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        random = self.random
        none = random.random((SIZE, SIZE)) < 0.5
        matrix = np.where(none, 0, random.exponential(0.03, (SIZE, SIZE)))
        for dye in range(SIZE - 1):
            matrix[dye, dye + 1] = random.uniform(0.05, 0.6)
            matrix[dye + 1, dye] = random.uniform(0, 0.2)
        np.fill_diagonal(matrix, 1)
        self.matrix = np.minimum(matrix, 1)
        self.tops = np.full(SIZE, TOP)

    def cells(self, n_events, debris=0.1):
        """Return kind, scatter and autofluorescence; the kind of debris is -1."""
        random = self.random
        kind = random.choice(len(KINDS), n_events, p=[share for share, *_ in KINDS])
        means, spreads = (np.array([k[i] for k in KINDS])[kind] for i in (1, 2))
        scatter = random.normal(means, spreads)
        light = np.array([k[3] for k in KINDS])[kind, None] * AUTOFLUORESCENCE
        light = light * random.lognormal(0, 0.4, (n_events, 1)) * np.linspace(1.5, 0.5, SIZE)
        light = light * random.lognormal(0, 0.2, (n_events, SIZE))
        broken = random.random(n_events) < debris
        scatter[broken] = np.abs(random.normal((1e4, 5e3), (6e3, 4e3), (broken.sum(), 2)))
        light[broken] *= 0.3
        kind[broken] = -1
        return kind, scatter.astype(np.float32), light

    def record(self, light):
        seen = self.random.normal(light, np.sqrt(light / 0.15))
        seen = seen + self.random.normal(0, 40, light.shape)
        return np.minimum(seen, TOP).astype(np.float32)

    def unstained(self, n_events=10_000):
        _, scatter, light = self.cells(n_events)
        return self.record(light), scatter

    def control(self, dye, decades, negative=0.3, spread=0.3, kind=None, n_events=10_000):
        """Stain a share of one kind of cells, or of all, `decades` above autofluorescence."""
        kinds, scatter, light = self.cells(n_events)
        stained = (kinds >= 0 if kind is None else kinds == kind) & (
            self.random.random(n_events) >= negative
        )
        bright = AUTOFLUORESCENCE * 10**decades * self.random.lognormal(0, spread, n_events)
        return self.record(light + np.outer(bright * stained, self.matrix[dye])), scatter


@pytest.fixture(params=[0, 1])
def instrument(request):
    return Instrument(request.param)


def estimate(instrument, dye, control, unstained=None, method="median"):
    return estimate_spill(*control, dye, instrument.tops, unstained, method)


@pytest.mark.parametrize("kind", [None, 0, 1], ids=["all cells", "lymphocytes", "monocytes"])
@pytest.mark.parametrize(("negative", "spread"), [(0, 0.3), (0.6, 0.3), (0.6, 1.0)])
@pytest.mark.parametrize("decades", [2, 3])
def test_true_spill_with_an_unstained_control(instrument, decades, negative, spread, kind):
    dye = int(instrument.random.integers(SIZE))
    control = instrument.control(dye, decades, negative, spread, kind)
    for method, most in (("median", 0.01), ("residual", 0.004)):
        stain = estimate(instrument, dye, control, instrument.unstained(), method)
        assert stain.problem == ""
        assert stain.negatives == "unstained"
        off = np.abs(stain.row - instrument.matrix[dye])
        assert off.max() <= most
        assert np.median(off) <= 0.003
        assert (off <= 3 * stain.error + 1e-12).all()


def test_true_spill_without_an_unstained_control(instrument):
    control = instrument.control(3, 2.5, negative=0.4)
    stain = estimate(instrument, 3, control)
    assert stain.negatives == "control"
    np.testing.assert_allclose(stain.row, instrument.matrix[3], atol=0.005)


def test_unstained_cells_of_another_scatter_are_not_compared(instrument):
    """Beads: their scatter is where no cell is, so their own negatives are taken."""
    events, scatter = instrument.control(3, 2.5, negative=0.4)
    beads = instrument.random.normal((1.8e5, 2e5), (2e3, 2e3), scatter.shape).astype(np.float32)
    stain = estimate(instrument, 3, (events, beads), instrument.unstained())
    assert stain.negatives == "control"
    np.testing.assert_allclose(stain.row, instrument.matrix[3], atol=0.005)


def test_residuals_are_free_of_the_bias_of_dim_stains(instrument):
    worst = {}
    for method in ("median", "residual"):
        off = []
        for dye in (2, 8, 14):
            control = instrument.control(dye, 1, negative=0, spread=1.0)
            stain = estimate(instrument, dye, control, instrument.unstained(), method)
            off.append(np.abs(stain.row - instrument.matrix[dye]).max())
            assert stain.error.max() > 0.01  # what the note warns of
        worst[method] = max(off)
    assert worst["residual"] < worst["median"] / 2
    assert worst["residual"] < 0.01


def test_gate_follows_the_stained_cells(instrument):
    """Stained monocytes shine twice as much of themselves; lymphocytes are no fair negatives."""
    control = instrument.control(5, 1.3, negative=0, kind=1, n_events=20_000)
    unstained = instrument.unstained(20_000)
    gated = estimate(instrument, 5, control, unstained)
    nowhere = (np.empty((20_000, 0), np.float32),) * 2
    open_gate = estimate(instrument, 5, (control[0], nowhere[0]), (unstained[0], nowhere[1]))
    truth = instrument.matrix[5]
    assert np.abs(gated.row - truth).max() < 0.5 * np.abs(open_gate.row - truth).max()


def test_saturated_events_are_left_out(instrument):
    stain = estimate(instrument, 3, instrument.control(3, 3, spread=1.0), instrument.unstained())
    assert 0.1 < stain.off_scale < 0.5
    np.testing.assert_allclose(stain.row, instrument.matrix[3], atol=0.005)


def test_values_that_are_not_finite_are_left_out(instrument):
    events, scatter = instrument.control(3, 2.5)
    unstained = instrument.unstained()
    whole = estimate(instrument, 3, (events[100:], scatter[100:]), unstained)
    events[:100, 7] = np.nan
    scatter[50:100, 0] = np.inf
    np.testing.assert_array_equal(
        estimate(instrument, 3, (events, scatter), unstained).row, whole.row
    )


def test_problems(instrument):
    unstained = instrument.unstained()
    nothing = estimate(instrument, 3, instrument.unstained(100_000), unstained)
    assert nothing.problem == "too_few_positive"
    few = instrument.control(3, 2.5, n_events=250)
    assert estimate(instrument, 3, few, unstained).problem == "too_few_positive"
    none = instrument.control(3, 2.5, n_events=0)
    assert estimate(instrument, 3, none, unstained).problem in ("too_few_positive", "no_valley")
    full = instrument.control(3, 2.5, negative=0, kind=None)
    assert estimate(instrument, 3, full).problem == "no_valley"
    glaring = instrument.control(3, 4, negative=0)
    assert estimate(instrument, 3, glaring, unstained).problem == "off_scale"
    dim = instrument.control(3, 0.4, negative=0.1)
    assert estimate(instrument, 3, dim, unstained).problem in ("too_dim", "too_few_positive")


def plain(own, seed=0):
    """Make events of two detectors, the second seeing a tenth of the first, without scatter."""
    random = np.random.default_rng(seed)
    own = np.asarray(own, dtype=float)
    events = np.column_stack([own, 0.1 * own + random.normal(0, 50, own.size)])
    return events.astype(np.float32), np.empty((own.size, 0), np.float32)


def estimate_plain(own, bare=None):
    unstained = None if bare is None else plain(bare, 1)
    return estimate_spill(*plain(own), 0, np.full(2, TOP), unstained)


def test_unstained_events_pass_for_stained_only_by_chance():
    """Of 100,000, some 500 lie above 99.5 % of the others: enough, were they not expected."""
    random = np.random.default_rng(3)
    stain = estimate_plain(random.normal(0, 50, 100_000), random.normal(0, 50, 100_000))
    assert stain.problem == "too_few_positive"


def test_dim_stain_is_refused():
    random = np.random.default_rng(3)
    bare = random.normal(0, 50, 10_000)
    assert estimate_plain(random.normal(250, 50, 10_000), bare).problem == "too_dim"
    assert estimate_plain(random.normal(400, 50, 10_000), bare).problem == ""


def test_pile_up_at_the_top_is_no_population():
    random = np.random.default_rng(3)
    own = np.minimum(random.lognormal(np.log(1.2e5), 0.5, 10_000), TOP)
    assert estimate_plain(own).problem == "no_valley"


def test_brighter_of_two_stained_populations_is_taken():
    """As CD4 on monocytes and on T cells."""
    random = np.random.default_rng(3)
    dim, bright = random.lognormal(7, 0.2, 4000), random.lognormal(11, 0.2, 4000)
    own = np.concatenate([dim, bright])
    stain = estimate_plain(own, random.normal(0, 50, 4000))
    assert stain.n_positive == pytest.approx(4000, abs=20)
    assert stain.row[1] == pytest.approx(0.1, abs=0.001)


def test_exchanged_control_is_recognised(instrument):
    spilling = int(np.argmax(instrument.matrix[:-1, 1:].diagonal()))
    stain = estimate(
        instrument, spilling + 1, instrument.control(spilling, 3), instrument.unstained()
    )
    assert stain.problem == "not_brightest"
    assert stain.brightest == spilling


def test_ellipse_holds_the_main_population():
    random = np.random.default_rng(5)
    main = random.multivariate_normal((5, 2), [[1, 0.8], [0.8, 1]], 4000)
    debris = random.normal((-5, -5), 1, (1500, 2))
    ellipse = fit_ellipse(np.concatenate([main, debris]).astype(np.float32))
    assert ellipse.contains(main).mean() > 0.95
    assert 0.93 < fit_ellipse(main).contains(main).mean() < 0.97
    assert ellipse.contains(debris).mean() < 0.01
    assert fit_ellipse(main[:, :0]).contains(main[:, :0]).all()
    assert fit_ellipse(np.ones((100, 2), np.float32)).contains(main).all()
