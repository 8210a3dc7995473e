"""What a reader sees: tables, figures, pages, curves as event files, progress. It formats, and computes no results."""
