"""Kernels, Data & Physics: the code behind the course. Import the modules by name."""
