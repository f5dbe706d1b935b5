//! Everything that touches Python: the event loop, the ASGI and WSGI bridges.
//!
//! A worker is one thread on which tokio and asyncio take turns: [`reactor`] is the joint between them. [`worker`] is
//! what `pinnace._worker` holds: it takes the inherited sockets, serves them with [`handler`] and drains them when the
//! parent says so. [`asgi`] and [`wsgi`] translate between HTTP and the two Python protocols.
//!
//! Finding and importing the application, and the lifespan, are Python code in `python/pinnace`.

#![expect(unsafe_code, reason = "the interpreter's lock, contexts and inherited descriptors have no safe interface")]

mod asgi;
mod body;
mod control;
mod forwarded;
mod handler;
mod processor;
mod reactor;
mod turnstile;
mod upload;
mod worker;
mod wsgi;

use pyo3::prelude::*;

/// The extension module `pinnace_runtime._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", pinnace_types::VERSION)?;
    module.add_class::<reactor::Reactor>()?;
    module.add_class::<worker::Worker>()?;
    module.add("ClientDisconnected", module.py().get_type::<asgi::ClientDisconnected>())?;
    Ok(())
}
