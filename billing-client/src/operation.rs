//! Operations of batches and of the bulk stream, and what became of them.

use billing_proto::v1;

use crate::entry::Entry;
use crate::error::{Error, Malformed};
use crate::hold::{CaptureHold, Hold, PlaceHold, ReleaseHold};
use crate::position::Position;
use crate::post::{Post, ReverseEntry, Transfer};
use crate::wire::{malformed, required};

/// One operation of a batch or of the bulk stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Post an entry.
    Post(Post),
    /// Move money to another account.
    Transfer(Transfer),
    /// Take an entry back.
    Reverse(ReverseEntry),
    /// Reserve money.
    PlaceHold(PlaceHold),
    /// Turn reserved money into a charge.
    CaptureHold(CaptureHold),
    /// Free reserved money.
    ReleaseHold(ReleaseHold),
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// An entry was posted.
    Posted(Box<Posted>),
    /// Money was moved to another account.
    Transferred(Box<Transferred>),
    /// An entry was taken back.
    Reversed(Box<Reversed>),
    /// Money was reserved.
    HoldPlaced(Box<HoldWritten>),
    /// Reserved money was charged.
    HoldCaptured(Box<Captured>),
    /// Reserved money was freed.
    HoldReleased(Box<HoldWritten>),
}

/// An entry that was posted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Posted {
    /// The entry.
    pub entry: Entry,
    /// True when an earlier call with this key had posted it.
    pub replayed: bool,
    /// Where it stands in the journal. Absent for `validate_only`.
    pub position: Option<Position>,
}

/// The two entries of a transfer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transferred {
    /// The entry of the paying account.
    pub outgoing: Entry,
    /// The entry of the receiving account.
    pub incoming: Entry,
    /// True when an earlier call with this key had moved the money.
    pub replayed: bool,
    /// Where the outgoing entry stands in the journal. Absent for `validate_only`.
    pub position: Option<Position>,
    /// Where the incoming entry stands in the journal. Absent for `validate_only`.
    pub incoming_position: Option<Position>,
}

/// The entry that takes another one back.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reversed {
    /// The reversal in the account named.
    pub entry: Entry,
    /// True when an earlier call with this key had reversed it.
    pub replayed: bool,
    /// Where the entry stands in the journal. Absent for `validate_only`.
    pub position: Option<Position>,
    /// The reversal in the other account of a transfer.
    pub counterpart: Option<Entry>,
    /// Where that other entry stands in the journal.
    pub counterpart_position: Option<Position>,
}

/// A hold after it was placed, changed or released.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HoldWritten {
    /// The hold.
    pub hold: Hold,
    /// True when an earlier call with this key had done it.
    pub replayed: bool,
    /// Where it stands in the journal. Absent for `validate_only`.
    pub position: Option<Position>,
}

/// The charge that a hold became.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Captured {
    /// The charge.
    pub entry: Entry,
    /// The hold right after the capture.
    pub hold: Hold,
    /// True when an earlier call with this key had captured it.
    pub replayed: bool,
    /// Where the entry stands in the journal. Absent for `validate_only`.
    pub position: Option<Position>,
}

impl Operation {
    /// The account it concerns; for a transfer the paying one.
    pub fn account_id(&self) -> &str {
        match self {
            Operation::Post(request) => &request.wire.account_id,
            Operation::Transfer(request) => &request.wire.from_account_id,
            Operation::Reverse(request) => &request.wire.account_id,
            Operation::PlaceHold(request) => &request.wire.account_id,
            Operation::CaptureHold(request) => &request.wire.account_id,
            Operation::ReleaseHold(request) => &request.wire.account_id,
        }
    }

    /// The idempotency key that it carries.
    pub fn idempotency_key(&self) -> &str {
        match self {
            Operation::Post(request) => request.idempotency_key(),
            Operation::Transfer(request) => request.idempotency_key(),
            Operation::Reverse(request) => request.idempotency_key(),
            Operation::PlaceHold(request) => request.idempotency_key(),
            Operation::CaptureHold(request) => request.idempotency_key(),
            Operation::ReleaseHold(request) => request.idempotency_key(),
        }
    }
}

macro_rules! operations {
    ($($variant:ident from $request:ident),+) => {
        $(impl From<$request> for Operation {
            fn from(request: $request) -> Self {
                Operation::$variant(request)
            }
        })+

        impl From<Operation> for v1::Operation {
            fn from(operation: Operation) -> Self {
                let operation = match operation {
                    $(Operation::$variant(request) => v1::operation::Operation::$variant(request.wire),)+
                };
                v1::Operation { operation: Some(operation) }
            }
        }
    };
}

operations! {
    Post from Post, Transfer from Transfer, Reverse from ReverseEntry, PlaceHold from PlaceHold,
    CaptureHold from CaptureHold, ReleaseHold from ReleaseHold
}

impl Outcome {
    /// Reads a result: the outcome, or the refusal.
    pub(crate) fn read(result: Option<v1::OperationResult>) -> Result<Self, Error> {
        use v1::operation_result::Result as Wire;
        let result = required("result", result)?.result;
        Ok(match required("result.result", result)? {
            Wire::Post(answer) => Outcome::Posted(Box::new(answer.try_into()?)),
            Wire::Transfer(answer) => Outcome::Transferred(Box::new(answer.try_into()?)),
            Wire::Reverse(answer) => Outcome::Reversed(Box::new(answer.try_into()?)),
            Wire::PlaceHold(answer) => {
                Outcome::HoldPlaced(Box::new(HoldWritten::read(answer.hold, answer.replayed, answer.position)?))
            }
            Wire::CaptureHold(answer) => Outcome::HoldCaptured(Box::new(answer.try_into()?)),
            Wire::ReleaseHold(answer) => {
                Outcome::HoldReleased(Box::new(HoldWritten::read(answer.hold, answer.replayed, answer.position)?))
            }
            Wire::Error(error) if error.code == 0 => {
                return Err(malformed("result.error.code", "it is OK").into());
            }
            Wire::Error(error) => return Err(error.into()),
        })
    }

    /// True when an earlier call with the same key had done it.
    pub fn replayed(&self) -> bool {
        match self {
            Outcome::Posted(done) => done.replayed,
            Outcome::Transferred(done) => done.replayed,
            Outcome::Reversed(done) => done.replayed,
            Outcome::HoldPlaced(done) | Outcome::HoldReleased(done) => done.replayed,
            Outcome::HoldCaptured(done) => done.replayed,
        }
    }

    /// Where it stands in the journal. Absent for `validate_only`.
    pub fn position(&self) -> Option<Position> {
        match self {
            Outcome::Posted(done) => done.position,
            Outcome::Transferred(done) => done.position,
            Outcome::Reversed(done) => done.position,
            Outcome::HoldPlaced(done) | Outcome::HoldReleased(done) => done.position,
            Outcome::HoldCaptured(done) => done.position,
        }
    }

    /// The entry it has written in the account named, if it writes one.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Outcome::Posted(done) => Some(&done.entry),
            Outcome::Transferred(done) => Some(&done.outgoing),
            Outcome::Reversed(done) => Some(&done.entry),
            Outcome::HoldCaptured(done) => Some(&done.entry),
            Outcome::HoldPlaced(_) | Outcome::HoldReleased(_) => None,
        }
    }
}

impl TryFrom<v1::PostResponse> for Posted {
    type Error = Malformed;

    fn try_from(answer: v1::PostResponse) -> Result<Self, Malformed> {
        Ok(Self {
            entry: required("entry", answer.entry)?.try_into()?,
            replayed: answer.replayed,
            position: answer.position.map(Into::into),
        })
    }
}

impl TryFrom<v1::TransferResponse> for Transferred {
    type Error = Malformed;

    fn try_from(answer: v1::TransferResponse) -> Result<Self, Malformed> {
        Ok(Self {
            outgoing: required("outgoing", answer.outgoing)?.try_into()?,
            incoming: required("incoming", answer.incoming)?.try_into()?,
            replayed: answer.replayed,
            position: answer.position.map(Into::into),
            incoming_position: answer.incoming_position.map(Into::into),
        })
    }
}

impl TryFrom<v1::ReverseEntryResponse> for Reversed {
    type Error = Malformed;

    fn try_from(answer: v1::ReverseEntryResponse) -> Result<Self, Malformed> {
        Ok(Self {
            entry: required("entry", answer.entry)?.try_into()?,
            replayed: answer.replayed,
            position: answer.position.map(Into::into),
            counterpart: answer.counterpart.map(TryInto::try_into).transpose()?,
            counterpart_position: answer.counterpart_position.map(Into::into),
        })
    }
}

impl TryFrom<v1::CaptureHoldResponse> for Captured {
    type Error = Malformed;

    fn try_from(answer: v1::CaptureHoldResponse) -> Result<Self, Malformed> {
        Ok(Self {
            entry: required("entry", answer.entry)?.try_into()?,
            hold: required("hold", answer.hold)?.try_into()?,
            replayed: answer.replayed,
            position: answer.position.map(Into::into),
        })
    }
}

impl HoldWritten {
    pub(crate) fn read(
        hold: Option<v1::Hold>,
        replayed: bool,
        position: Option<v1::JournalPosition>,
    ) -> Result<Self, Malformed> {
        let hold = required("hold", hold)?.try_into()?;
        Ok(Self { hold, replayed, position: position.map(Into::into) })
    }
}
