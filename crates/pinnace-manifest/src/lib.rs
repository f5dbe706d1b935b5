//! `pinnace.toml`: what may stand in it, what is wrong with it, and how to mend it.
//!
//! Reading collects every mistake, not only the first, each with its line, its column, the text that is meant, the
//! nearest name that would be right, and the way out. Nothing is started and no socket is opened here.
//!
//! Where to read next: [`Manifest`] for the model, [`keys`] for the one table of keys from which the schema and the
//! suggestions come, `load` for how text becomes a model.

#![forbid(unsafe_code)]

mod design;
mod diagnostic;
mod enforcement;
pub mod keys;
mod load;
mod mask;
mod model;
mod places;
mod schema;
mod source;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use model::{
    Auth, AuthDefault, AuthRule, Caller, CommandLine, Context, Database, DatabaseEngine, Discovery, Endpoint, Engine,
    Engines, EventWire, InvalidCommandLine, InvalidEndpoint, InvalidPythonSpec, InvalidRoute, InvalidVariableName,
    Limits, Manifest, PythonSpec, PythonVersion, Route, Run, Service, System, VariableName,
};
pub use schema::json_schema;

/// The name of the file.
pub const FILE_NAME: &str = "pinnace.toml";
