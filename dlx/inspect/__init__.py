"""Looking into nets: what their parameters and activations show."""
