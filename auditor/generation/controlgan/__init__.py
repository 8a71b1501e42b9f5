"""ControlGAN (Li et al. 2019, *Controllable Text-to-Image Generation*) as modules of our own, of any size."""
