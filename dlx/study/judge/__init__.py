"""From records to verdicts, tables and figures."""
