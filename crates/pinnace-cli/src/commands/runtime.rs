//! The runtime that commands run on: one thread, because children end with the thread that started them.

use std::future::Future;

use pinnace_types::ExitCode;

use crate::Complaint;

/// Runs a future to its end on this thread.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Complaint::new(ExitCode::Failure, format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(future))
}
