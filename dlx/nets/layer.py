"""A layer that can be read in both directions.

An auto-associator with tied weights and an RBM have the same parameters `{w, b, c}` and differ only in their loss, so
every fully connected layer here carries a visible bias `c`; a supervised loss leaves it as it is.

Its units are those of an exponential family harmonium (Welling, Rosen-Zvi & Hinton 2004), where
p(v, h) ~ exp(v w h + b h + c v - base(v) - base(h)): given the other side, a unit whose input is u has the mean A'(u)
and the log-partition A(u).
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, constant, glorot_uniform, he_normal, zeros
from jaxtyping import Array, Float, Int, Shaped

from dlx.types import Key, Params, Rate


def fan_uniform() -> Initializer:
    """U[-1/sqrt(d), 1/sqrt(d)], d = max(fan-in, fan-out): the initialisation of Bengio et al. 2006."""

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        bound = 1 / max(shape) ** 0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


INITIALIZERS: Mapping[str, Initializer] = {
    "fan": fan_uniform(),
    "glorot": glorot_uniform(),
    "he": he_normal(),
    "zeros": zeros,
    "equal": constant(0.01),
}
"""Where weights may start from, by name.

glorot is U[-b, b] with b = sqrt(6) / sqrt(fan-in + fan-out), for units whose slope at 0 is 1 (Glorot & Bengio 2010,
equation 16; lecture on feed-forward nets, "Initialization"). he is N(0, 2 / fan-in), cut off at two standard deviations
and rescaled, for rectifiers (He et al. 2015, equation 10). With zeros or equal weights nothing breaks the symmetry.
"""


def as_float(x: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Intensities 0..255 (uint8) become 0..1 (float32); floats pass unchanged.

    Raises ValueError for any other dtype.
    """
    if x.dtype != jnp.uint8 and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"inputs have the dtype {x.dtype}; give intensities from 0 to 255 as uint8, or floats")
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


class Units(NamedTuple):
    """Units of one kind, as functions of their inputs u. Those without a distribution can only be read forwards."""

    name: str
    mean: Callable[[Array], Array]
    log_partition: Callable[[Array], Array] | None = None
    """A(u), unit by unit."""
    sample: Callable[[Key, Array], Array] | None = None
    base: Callable[[Array], Any] = lambda x: 0.0
    """Energy of the values [..., units] of a row of units in themselves [...]."""


SIGMOID = Units(
    "sigmoid",
    jax.nn.sigmoid,
    jax.nn.softplus,
    lambda key, u: jax.random.bernoulli(key, jax.nn.sigmoid(u)).astype(u.dtype),
)
"""0 or 1, with the mean sigm(u)."""
TANH = Units(
    "tanh",
    jnp.tanh,
    lambda u: jnp.logaddexp(u, -u),
    lambda key, u: 2 * jax.random.bernoulli(key, jax.nn.sigmoid(2 * u)).astype(u.dtype) - 1,
)
"""-1 or 1, with the mean tanh(u)."""
GAUSSIAN = Units(
    "Gaussian",
    lambda u: u,
    lambda u: jnp.square(u) / 2,
    lambda key, u: u + jax.random.normal(key, u.shape, u.dtype),
    lambda x: jnp.square(x).sum(-1) / 2,
)
"""Real numbers of variance 1, with the mean u."""
RELU = Units("rectified linear", jax.nn.relu)
"""max(u, 0), without a distribution here."""
LEAKY = Units("leaky rectified linear", lambda u: jnp.maximum(u, 0.01 * u))
"""max(u, u / 100), without a distribution (Maas, Hannun & Ng 2013, equation 3)."""
IDENTITY = Units("linear", lambda u: u)
"""u itself, without a distribution."""

UNITS: Mapping[str, Units] = {"sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "leaky": LEAKY, "identity": IDENTITY}
"""Hidden units by name."""


def number_of(name: str, kinds: Mapping[str, Any]) -> float:
    """The place of a name among kinds such as `UNITS`, from 0, as a float: a hyper-parameter that `switch_units` and
    `switch_initializers` take.

    Raises ValueError, with the names that there are, if it is not among them.
    """
    check_name(name, kinds)
    return float(list(kinds).index(name))


def switch_units(index: Rate) -> Units:
    """Those of `UNITS` that have the index, which may be traced: so one program serves all. They have no distribution.

    A fraction is cut off, and an index beyond the ends is that of the end.
    """
    return Units("any", lambda u: jax.lax.switch(_place(index), [units.mean for units in UNITS.values()], u))


def switch_initializers(index: Rate, scale: Rate = 1.0) -> Initializer:
    """That of `INITIALIZERS` that has the index, its weights times `scale`; both may be traced.

    A fraction is cut off, and an index beyond the ends is that of the end.
    """

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        draw = [partial(one, shape=shape, dtype=dtype) for one in INITIALIZERS.values()]
        return scale * jax.lax.switch(_place(index), draw, key)

    return init


def _place(index: Rate) -> Int[Array, ""]:
    return jnp.asarray(index).astype(jnp.int32)


def check_name(name: str, kinds: Collection[str]) -> None:
    """Raise ValueError, with the names that there are, for a name that is not among them."""
    if name not in kinds:
        raise ValueError(f"there is no {name!r}; choose one of {', '.join(kinds)}")


def check_probability(**rates: Rate | None) -> None:
    """Raise ValueError for a number outside [0, 1]. What is traced passes."""
    for name, rate in rates.items():
        if isinstance(rate, int | float) and not 0 <= rate <= 1:
            raise ValueError(f"{name} must be a probability between 0 and 1, not {rate}")


def check_positive(**sizes: int) -> None:
    """Raise ValueError for the size of a net that is not at least 1, such as widths or depth."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")


def check_widths(widths: tuple[int, ...]) -> None:
    """Raise ValueError for widths of hidden layers that are not a sequence of numbers of at least 1."""
    if not isinstance(widths, tuple | list):
        raise ValueError(f"widths are one number a hidden layer, such as (64,), not {widths!r}")
    check_positive(**{f"width {i + 1}": width for i, width in enumerate(widths)})


class LayerKind(NamedTuple):
    """What units a layer `{w, b, c}` has on both sides, and so how it is read."""

    hidden: Units = SIGMOID
    visible: Units = SIGMOID

    def encode(self, layer: Params, x: Shaped[Array, "*n visible"]) -> Float[Array, "*n hidden"]:
        """The code of x, which is the mean of the hidden units given x; of sigmoid units P(h = 1 | v)."""
        return self.hidden.mean(as_float(x) @ layer["w"] + layer["b"])

    def decode_inputs(self, layer: Params, h: Float[Array, "*n hidden"]) -> Float[Array, "*n visible"]:
        """The inputs h w' + c of the visible units; of sigmoid units these are log-odds.

        A matrix `decoder` [hidden, visible] in the layer takes the place of w'.
        """
        return h @ (layer["decoder"] if "decoder" in layer else layer["w"].T) + layer["c"]

    def decode(self, layer: Params, h: Float[Array, "*n hidden"]) -> Float[Array, "*n visible"]:
        """The mean of the visible units given h."""
        return self.visible.mean(self.decode_inputs(layer, h))

    def nats(self, u: Float[Array, "*n visible"], x: Float[Array, "*n visible"]) -> Float[Array, "*n"]:
        """-log p(x) of visible units with inputs u, summed over them; of Gaussian ones without (1/2) log 2 pi a unit.

        Raises ValueError if the visible units have no distribution.
        """
        return (_log_partition(self.visible)(u) - x * u).sum(-1) + self.visible.base(x)

    def free_energy(self, layer: Params, v: Float[Array, "*n visible"]) -> Float[Array, "*n"]:
        """F(v) = base(v) - c v - sum_j A(b_j + (v w)_j), in nats: p(v) = exp(-F(v)) / Z.

        Raises ValueError if the hidden units have no distribution.
        """
        inputs = v @ layer["w"] + layer["b"]
        return -(v @ layer["c"]) - _log_partition(self.hidden)(inputs).sum(-1) + self.visible.base(v)


def _log_partition(units: Units) -> Callable[[Array], Array]:
    if units.log_partition is None:
        raise ValueError(
            f"{units.name} units have no distribution, which this loss needs; "
            "choose sigmoid, tanh or Gaussian units on that side of the layer"
        )
    return units.log_partition


BINARY = LayerKind()
"""Sigmoid units on both sides, as in the greedy training of 2006."""


def check_distribution(*sides: Units) -> None:
    """Raise ValueError if units have no distribution."""
    for units in sides:
        _log_partition(units)
