"""What to measure next and what it will take: suites, schedules, versions, provenance."""
