//! Who calls, and what they may do.

pub mod principal;
pub mod permissions;
pub mod layer;

pub use layer::AuthLayer;
pub use permissions::Permission;
pub use principal::{Principal, Role};
