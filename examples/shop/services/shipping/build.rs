//! Compiles the protocol; no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let protocol = protox::compile(["shop/shipping/v1/shipping.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(protocol)?;
    Ok(())
}
