"""One module a published result; `python -m experiments` lists them."""
