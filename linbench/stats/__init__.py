"""Statistics of few rounds: intervals, moderated variances, steps. Knows nothing of runs."""
