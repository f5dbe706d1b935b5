//! Compiles the protocol; no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=harbour.proto");
    tonic_prost_build::configure().compile_fds(protox::compile(["harbour.proto"], ["."])?)?;
    Ok(())
}
