"""Diffusion: paths, noise, preconditioners, denoisers and samplers as small separate pieces.

A denoiser is a callable `(x, sigma, cond) -> E[x_0 | x]`; a sampler takes any callable
`(x, sigma) -> x_0`. `diffusion_model.py` and `one_step.py` bind them to generators.
"""
