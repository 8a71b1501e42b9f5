"""The whole pocket world trained on one GPU within some minutes; the same lessons as on a CPU, bounded by a clock."""
