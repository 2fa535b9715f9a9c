"""Where a case runs: `local` measures in a fresh process on this machine."""
