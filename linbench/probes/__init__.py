"""What can be observed: time, memory, energy, the machine; each value with its provenance."""
