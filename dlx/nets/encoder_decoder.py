"""The encoder and decoder of Sutskever, Vinyals & Le 2014: one recurrent net reads a sequence, another one writes one.

The state in which the encoder ends is the one from which the decoder starts, and p(answer | source) is the product over
the steps of p(token | tokens before it, source). Both have one layer here, where the paper has four. Lecture Caltech
155-16, "Deep Recurrent Networks".
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from flax import linen as nn
from jaxtyping import Array, Float, Int

from dlx.nets.layer import INITIALIZERS, check_name, check_positive
from dlx.nets.module import Affine, model, variables
from dlx.nets.recurrent import CELLS, blank, keeping
from dlx.types import Model, Pairs, Params, Rate, Sequences

Carry = Any
"""The state of a decoder, arrays [n, width]."""


class EncoderDecoder(NamedTuple):
    """An encoder and a decoder: to be trained as a net, and to be asked for answers (`dlx.nets.decoding`)."""

    net: Model
    """From `Pairs` to logits [n, steps, vocabulary] of the tokens of the answer, each given those before it."""
    encode: Callable[[Params, Sequences], Carry]
    """The state in which the source leaves the encoder."""
    step: Callable[[Params, Carry, Int[Array, " n"]], tuple[Carry, Float[Array, "n vocabulary"]]]
    """The state of the decoder after one more token, and the logits of the token that follows."""


def encoder_decoder(cell: str, width: int, vocabulary: int, *, embedding: int = 16, keep: Rate = 0.0) -> EncoderDecoder:
    """An encoder and a decoder of `width` cells each, for sources and answers of tokens 0 to vocabulary - 1.

    `keep` is that of `dlx.nets.recurrent.recurrent`. The parameters are the cells of `encoder` and `decoder`, `output`
    {w, b}, and `embedding`, which both share.

    Raises ValueError for an unknown cell, or if a size is less than 1.
    """
    check_name(cell, CELLS)
    check_positive(width=width, vocabulary=vocabulary, embedding=embedding)
    module = _EncoderDecoder(cell, width, vocabulary, embedding)
    net = model(module)

    def encode(params, source):
        return module.apply(variables(params), source, method="encode")

    def step(params, carry, token):
        return cast(tuple, module.apply(variables(params), carry, token, method="step"))

    return EncoderDecoder(net._replace(init=keeping(cell, net.init, keep)), encode, step)


class _EncoderDecoder(nn.Module):
    cell: str
    width: int
    vocabulary: int
    embedding_size: int

    def setup(self):
        self.embedding = nn.Embed(self.vocabulary, self.embedding_size)
        self.encoder, self.decoder = (
            nn.RNN(CELLS[self.cell](features=self.width), return_carry=True) for _ in range(2)
        )
        self.output = Affine(self.vocabulary, INITIALIZERS["fan"])

    def encode(self, source):
        values = self.embedding(source.values)
        start = blank(self.encoder.cell, values)
        return self.encoder(values, initial_carry=start, seq_lengths=source.lengths)[0]

    def step(self, carry, token):
        carry, state = self.decoder.cell(carry, self.embedding(token))
        return carry, self.output(state)

    def __call__(self, x: Pairs) -> Float[Array, "n steps vocabulary"]:
        """The logits of each token of the answers."""
        _, states = self.decoder(self.embedding(x.before), initial_carry=self.encode(x.source))
        return self.output(states)
