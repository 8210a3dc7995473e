"""Networks as `Model`s made of flax.linen modules, one family a file. No losses, no optimizers."""
