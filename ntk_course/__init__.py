"""Kernels, Data & Physics: the code behind the course. Import the modules by name.

Importing it sets JAX's `jax_default_matmul_precision` to "highest", unless something is chosen
already: on GPUs since NVIDIA's Ampere, JAX else keeps ten bits of the factors of float32 products
(TF32), which is too few for kernels and for the systems that are solved with them.
"""

import jax as _jax

if _jax.config.jax_default_matmul_precision is None:
    _jax.config.update("jax_default_matmul_precision", "highest")
