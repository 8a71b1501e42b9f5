"""Image and text encoders with one shared embedding space."""
