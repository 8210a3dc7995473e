"""What is written: an outcome, its report, and the pages of all experiments and of the lectures."""
