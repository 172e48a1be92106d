//! What an audit finds.

use billing_db::JournalRow;

/// Which rule is broken. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Fault {
    PositionGap = 1,
    SequenceGap = 2,
    BalanceMismatch = 3,
    HashMismatch = 4,
    SumNotZero = 5,
    HoldMismatch = 6,
    TimeReversed = 7,
    ReversalExcess = 8,
    TransferUnbalanced = 9,
    StateMismatch = 10,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule is broken.
    pub fault: Fault,
    /// The row at which it shows, by partition and position; none when it belongs to no row.
    pub at: Option<(i16, i64)>,
    /// The account concerned; empty when it belongs to none.
    pub account_id: String,
    /// The sequence of the row in its account; 0 when it belongs to no row.
    pub sequence: i64,
    /// What ought to stand there; empty when that cannot be told.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// A sentence for people.
    pub message: &'static str,
}

impl Finding {
    /// Something wrong at a row.
    pub(super) fn at_row(fault: Fault, row: &JournalRow, account_id: &str, message: &'static str) -> Self {
        Self {
            fault,
            at: Some((row.partition, row.position)),
            account_id: account_id.to_owned(),
            sequence: row.sequence,
            expected: String::new(),
            found: String::new(),
            message,
        }
    }

    /// Something wrong that belongs to no row.
    pub(super) fn of(fault: Fault, account_id: &str, message: &'static str) -> Self {
        let account_id = account_id.to_owned();
        Self { fault, at: None, account_id, sequence: 0, expected: String::new(), found: String::new(), message }
    }

    /// The same, with what ought to stand there and what does.
    pub(super) fn with(mut self, expected: impl ToString, found: impl ToString) -> Self {
        self.expected = expected.to_string();
        self.found = found.to_string();
        self
    }
}
