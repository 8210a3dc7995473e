"""Programs that pages train: of several pages, or too long for one. Each is a frozen dataclass, see `dlx.unit.Program`.

Pages that start from the same layers train them once, whichever comes first.
"""

from dlx.programs.layers import Layer, LayerHypers, Rate, Stack, greedy_layers

__all__ = ["Layer", "LayerHypers", "Rate", "Stack", "greedy_layers"]
