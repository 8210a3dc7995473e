"""Generative adversarial nets: a critic tells examples from those that a generator makes from noise."""

import jax
import jax.numpy as jnp

from dlx.types import Loss, Model


def non_saturating(generator: Model, critic: Model, latent: int) -> tuple[Loss, Loss]:
    """The losses of the critic and of the generator, on parameters with entries `critic` and `generator`.

    D is sigm of the critic's one logit. G takes z ~ N(0, 1) [latent]. The critic's loss is the mean of
    -log D(x) - log(1 - D(G(z))). The generator's loss is the mean of -log D(G(z)). Both are in nats. Source: Goodfellow
    et al. 2014, equation 1 and section 3. A batch is an array of examples [n, ...], without labels.
    """

    def fakes(params, key, batch):
        key_noise, key_net = jax.random.split(key)
        noise = jax.random.normal(key_noise, (len(batch), latent))
        return generator.train(params["generator"], key_net, noise)[0]

    def logits(params, key, x):
        return critic.train(params["critic"], key, x)[0][:, 0]

    def critic_loss(params, key, batch):
        key_fakes, key_real, key_critic = jax.random.split(key, 3)
        fake = logits(params, key_critic, fakes(params, key_fakes, batch))
        return (jax.nn.softplus(-logits(params, key_real, batch)) + jax.nn.softplus(fake)).mean(), {}

    def generator_loss(params, key, batch):
        key_fakes, key_critic = jax.random.split(key)
        return jnp.mean(jax.nn.softplus(-logits(params, key_critic, fakes(params, key_fakes, batch)))), {}

    return critic_loss, generator_loss
