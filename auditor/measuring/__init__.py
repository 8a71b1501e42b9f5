"""One adapter's measurement: its pictures against the base's, the scores, the explanations, the verdict."""
