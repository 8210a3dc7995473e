"""How deep networks were first made to train: training phases as functions from parameters to parameters."""
