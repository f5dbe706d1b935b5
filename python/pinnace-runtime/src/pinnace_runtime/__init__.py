"""The extension module that hosts applications; private to `pinnace`."""
