//! Places in the journal.

use billing_proto::v1;

/// A place in the journal of a partition. Every mutation answers with the one it was written at;
/// [`Client::at_least`](crate::Client::at_least) reads no earlier state than that, on any instance of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The partition, counted from 0.
    pub partition: i32,
    /// The number of the row: compare it with positions of the same partition only.
    pub position: i64,
}

impl From<v1::JournalPosition> for Position {
    fn from(position: v1::JournalPosition) -> Self {
        Self { partition: position.partition, position: position.position }
    }
}

impl From<Position> for v1::JournalPosition {
    fn from(position: Position) -> Self {
        Self { partition: position.partition, position: position.position }
    }
}
