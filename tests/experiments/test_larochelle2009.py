"""The program of the page of Larochelle et al. 2009 refuses what there is not. What it tells is in `measures`."""

import pytest

from experiments.larochelle2009 import Reconstructed


def test_a_method_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="dbn, autoassociator"):
        Reconstructed("rbm")
