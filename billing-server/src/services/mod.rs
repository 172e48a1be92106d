//! The gRPC services: who asks and until when, the shape of the request, one call of the engine, the answer. No rule
//! lives here.

mod routes;
mod worded;
mod call;
mod drain;
mod find;
pub mod account;
pub mod balance;
pub mod ledger;
pub mod events;

pub use self::call::Call;
pub use self::drain::Drain;
pub use self::routes::{report, routes};
