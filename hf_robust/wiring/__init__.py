"""From flags to objects, for the script, the commands and sweeps: parsing, checkpoints, checks before a run."""
