"""Microservices in Python and Rust; see the `pinnace` command."""
