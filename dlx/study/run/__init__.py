"""From rows to records: the plan, the records there are, and the training of what is missing."""
