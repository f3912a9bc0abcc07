"""Sparse autoencoders on cached language-model activations."""
