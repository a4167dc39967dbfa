"""Power, beside simulation."""

import numpy as np
import pytest
from scipy import stats

from equiscope_studies.training.power import MOST, POWER, Design
from equiscope_studies.training.seeds import HIGHER, NO_DIFFERENCE, Estimate


@pytest.mark.parametrize(("rule", "difference"), [(HIGHER, 0.04), (HIGHER, -0.02), (NO_DIFFERENCE, 0.02)])
@pytest.mark.parametrize("within", [False, True])
def test_the_chance_to_decide_is_how_often_simulated_seeds_decide(rule, difference, within):
    design, seeds = Design(0.013, conditions=4, claims=5, within=within), 4
    generator = np.random.default_rng(1)
    decided = []
    for _ in range(2000):
        freedom = design.freedom(seeds)
        deviation = 0.013 * np.sqrt(generator.chisquare(freedom) / freedom)
        error = deviation * np.sqrt((1 if within else 2) / seeds)
        value = generator.normal(difference, design.error(seeds))
        p_values = rule.p_values(Estimate(value, error, deviation, freedom, seeds))
        decided.append(2 * min(p_values) <= 0.05 / 5)
    assert design.chance_to_decide(rule, difference, seeds) == pytest.approx(np.mean(decided), abs=0.035)


def test_the_seeds_needed_are_the_fewest_that_do():
    design = Design(0.013, conditions=6, claims=20)
    seeds = design.seeds_needed(HIGHER, 0.04)
    assert design.chance_to_decide(HIGHER, 0.04, seeds) >= POWER > design.chance_to_decide(HIGHER, 0.04, seeds - 1)
    assert design.seeds_needed(HIGHER, 0.0101) is None  # at the margin, no number does
    assert design.chance_to_decide(HIGHER, 0.0101, MOST) < 0.05
    away = design.least_distance(6)
    assert design.chance_to_decide(HIGHER, 0.01 + away, 6) == pytest.approx(POWER, abs=1e-3)


def test_with_one_claim_and_condition_it_is_the_textbooks_one_sample_test():
    design, seeds = Design(1.0, conditions=1, claims=1, within=True), 10
    theirs = stats.nct.sf(stats.t.isf(0.025, 9), 9, 1.2 * np.sqrt(10))
    assert design.chance_to_decide(HIGHER, 1.21, seeds) == pytest.approx(theirs, abs=1e-6)
