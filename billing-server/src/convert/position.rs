//! Places in the journal.

use billing_proto::v1;

use crate::engine::record::Record;

/// Where a row stands.
pub fn of(record: &Record) -> v1::JournalPosition {
    to_wire(record.row.partition, record.row.position)
}

/// A place in the journal as the contract writes it.
pub fn to_wire(partition: i16, position: i64) -> v1::JournalPosition {
    v1::JournalPosition { partition: i32::from(partition), position }
}
