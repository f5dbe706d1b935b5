//! The pinnace.toml file: model, parsing, diagnostics, JSON Schema

#![forbid(unsafe_code)]
