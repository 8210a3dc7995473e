"""What a page declares: rows, metrics, claims, options, data."""
