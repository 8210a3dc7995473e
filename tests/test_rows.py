"""The laws of the rows of every page: what a row, a trial and a seed decide of what is trained."""

import pages
import pytest

from dlx.study.command import rows_and_search
from dlx.study.run.plan import first_trials, grid

COMPARED = {
    "nonconvexity": {"none/apart", "none/ordered", "rbm/apart", "rbm/ordered"},
    "erhan2009": {"functions"},
}
"""Rows whose last unit compares what was trained from several seeds."""
ALIKE = {
    "debugging": {"cured/collapsed", "cured/frozen", "cured/gradient", "cured/leak", "cured/memorised"},
    "optimizers": {"rates/all", "rates/taken"},
    "srivastava2014": {"paper/norm", "paper/rectified"},
}
"""Rows of one group that may train the same: one remedy for several faults, a choice among all, no norm in quick."""


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("name", pages.studies())
def test_every_argument_of_a_trial_and_the_seed_decide_what_is_trained(name, preset):
    study = pages.studies()[name]
    rows, _ = rows_and_search(study, study.options(preset=preset), pages.planned(name, preset).about)
    first, of_other_seeds, trained = first_trials(rows), set(), {}
    for row in rows:
        trials = grid(row.space_after(first))
        units = [row.build(5, **trial) for trial in trials]
        assert len({*units}) == len(units), f"{row.name}: two trials are one unit"
        assert row.build(6, **trials[0]) != units[0], f"{row.name}: the seed does not matter"
        for unit in units:
            trained.setdefault((row.group, unit), set()).add(row.name)
        for unit in units[0].lineage:
            assert len({*unit.given}) == len(unit.given), f"{row.name}: a unit is given another one twice"
            if unit.seed != 5:
                of_other_seeds.add(row.name)
    assert of_other_seeds == COMPARED.get(name, set())
    alike = set().union(*(names for names in trained.values() if len(names) > 1))
    assert alike <= ALIKE.get(name, set()), "two rows of a group train the same unit"
