"""What a run will do: the manifest, each task's slice of it, the downloads, the recipes in force."""
