"""Runs held against each other: case by case, and several in one report."""
