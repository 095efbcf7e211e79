"""The console command `hf-robust`: one file for each subcommand, and the flags that they share."""
