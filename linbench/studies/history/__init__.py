"""What many runs say over the commits they measured: levels, and the steps between them."""
