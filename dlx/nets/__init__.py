"""Networks as flax.linen modules, one family a file. No losses, no optimizers."""
