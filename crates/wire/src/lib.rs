//! The gRPC contract between the parts of Rollcall: generated code, the reasons a call is refused for, and the one
//! [`Transport`] that hides whether a service runs in this process or elsewhere.
//!
//! Not here: anything that knows HTTP REST, SQL or what a SCIM value means.

mod caller;
pub mod ids;
mod outside;
mod reason;
pub mod revocations;
mod time;
mod transport;

pub use caller::{Called, CalledBy, received};
pub use outside::is_outside;
pub use reason::{Entitlement, Reason, Refusal, refusal};
pub use time::{from_timestamp, to_timestamp};
pub use transport::{Credential, Transport, TransportError};

/// Generated from `proto/` by `cargo xtask codegen`.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated; documented in proto/")]
pub mod rollcall {
    pub mod common {
        pub mod v1 {
            include!("generated/rollcall.common.v1.rs");
        }
    }
    pub mod identity {
        pub mod v1 {
            include!("generated/rollcall.identity.v1.rs");
        }
    }
    pub mod token {
        pub mod v1 {
            include!("generated/rollcall.token.v1.rs");
        }
    }
}

pub use rollcall::{common::v1 as common, identity::v1 as identity, token::v1 as token};

/// The protos as an encoded `FileDescriptorSet`, for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");

/// The largest gRPC message taken or sent, bytes: the ids of a million members.
pub const MAX_MESSAGE: usize = 32 * 1024 * 1024;
