//! The gRPC service that tests and examples of the crate `pinnace` serve and call: `harbour.proto`.

#![forbid(unsafe_code)]

/// The protocol's package `harbour`.
pub mod harbour {
    /// Its first version.
    #[expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::pedantic,
        missing_docs,
        unused_qualifications,
        reason = "generated"
    )]
    pub mod v1 {
        tonic::include_proto!("harbour.v1");
    }
}
