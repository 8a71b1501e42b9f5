"""The stages of a run in order, the Hub they talk to, and one adapter on its own."""
