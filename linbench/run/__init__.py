"""A run: cases, records, the file they live in, and series along n. Never imports torch."""
