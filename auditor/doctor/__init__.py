"""What the active profile needs, what of it is there, and what to do about the rest."""
