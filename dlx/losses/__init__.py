"""Losses and scores as pure functions of parameters, key and batch."""
