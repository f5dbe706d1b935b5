//! Everything that touches Python: the event loop, the ASGI and WSGI bridges.

use pyo3::prelude::*;

/// The extension module `pinnace_runtime._native`.
#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
