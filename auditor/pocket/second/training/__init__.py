"""Scripts that train every pocket model from nothing. One command per model; all resume from checkpoints."""
