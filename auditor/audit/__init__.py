"""A task's life: its loop, attempts, signals, the base that is open, and the queue of proposals."""
