"""Image generators that can be compared with and without one adapter."""
