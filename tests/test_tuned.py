"""Programs of fine-tuning refuse what there is not. What they tell is in `measures`."""

import pytest

from dlx.programs.tuned import Reconstructed


def test_a_method_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="dbn, autoassociator"):
        Reconstructed("rbm")
