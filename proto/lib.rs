//! The contract of the billing service: package `billing.v1`, compiled from the files under `proto/`.
//!
//! The comments of the `.proto` files are the API reference; they stand on the generated items too.

/// Package `billing.v1`.
#[allow(clippy::pedantic, clippy::large_enum_variant, missing_debug_implementations, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("billing.v1");
}

/// The descriptors of every message and service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");
