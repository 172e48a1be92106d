//! The feed: pushes the journal, row by row, to whoever subscribed.
//!
//! ```text
//! engine ─ notices ─→ lane (one a partition): ring of the newest rows ─ tailer ─→ seats of the subscribers concerned
//!                                                                                     │ positions
//!                     journal ←─ pages, when a subscriber is behind the ring ── subscription (a task) ─→ outbox → gRPC
//! ```
//!
//! - A position in the journal is all a reader needs to go on: [`token`] says how it is handed out and checked.
//! - A subscriber's seat holds positions, never rows; what has left the ring is read from the journal. So memory is
//!   bounded by the rings, however slow the readers are, and no reader holds back a writer or another reader.
//! - Rows of other server processes come through the engine like its own; the lane takes each position once.
//! - Events of one account come in the order of its sequence, because the rows of a partition come in that of positions.

mod filter;
mod order;
mod hub;
mod lane;
mod merge;
mod outbox;
mod plan;
mod changing;
mod reading;
mod ring;
mod row;
mod source;
mod subscriber;
mod subscription;
mod tailer;
pub mod token;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod simulation;

pub use self::changing::MAX_FOLLOWED;
pub use self::filter::Types;
pub use self::hub::{Hub, Settings, Slot};
pub use self::order::{Change, Changes, Following, Order, Sees, Start};
pub use self::outbox::{Delivery, Message, Outbox, outbox};
pub use self::subscription::Subscription;
