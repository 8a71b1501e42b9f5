"""Submit, watch and repeat the stages of a run on Slurm; works without its accounting database."""
