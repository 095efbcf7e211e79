"""`hf-robust sweep`: many runs of the script, from one file of points or ranges."""
