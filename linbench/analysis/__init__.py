"""From run files to laws: series, exponents, ratios and crossovers, each with its interval.

Nothing here imports torch or prints. All intervals are at 95 % and take a round (a fresh process)
as the unit of independence, never a call.
"""
