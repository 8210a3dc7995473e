"""Losses, and values per example for scores, as pure functions of the parameters and examples."""
