"""From flags to objects: parsing, checkpoints, checks before a run; for the script, the commands and sweeps."""
