//! The check of the ledger's invariants.

use billing_proto::v1;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::client::{Client, ledger};
use crate::error::{Error, Malformed};
use crate::macros::open_enum;
use crate::position::Position;
use crate::wire::{instant, required};

open_enum! {
    /// Which rule of the ledger is broken.
    LedgerViolationKind as "LEDGER_VIOLATION_KIND_" {
        /// A position is missing in a partition.
        PositionGap,
        /// A sequence is missing in an account, or stands twice.
        SequenceGap,
        /// The amounts after a row do not follow from the row and the amounts before it.
        BalanceMismatch,
        /// The hash of a row does not follow from its content and the hash before it.
        HashMismatch,
        /// The sum over all client and counter accounts of a currency is not zero.
        SumNotZero,
        /// The open holds of an account do not add up to what its last row says is held.
        HoldMismatch,
        /// The time of recording goes back.
        TimeReversed,
        /// Reversals of an entry take back more than it moved.
        ReversalExcess,
        /// One leg of a transfer has no counterpart of the same amount.
        TransferUnbalanced,
        /// A table beside the journal does not agree with the rows it is made from.
        StateMismatch,
    }
}

/// One message of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// How far the check has come.
    Progress {
        /// The last row checked.
        position: Option<Position>,
        /// Rows checked so far, in all partitions.
        checked_rows: i64,
        /// Rows to check in all, as known at the start.
        total_rows: i64,
    },
    /// Something that must not be.
    Violation(LedgerViolation),
    /// The result; the last message.
    Summary(VerificationSummary),
    /// A message that this version of the client does not know.
    Unrecognized,
}

/// Something in the ledger that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerViolation {
    /// Which rule is broken.
    pub kind: LedgerViolationKind,
    /// The row at which it shows.
    pub position: Option<Position>,
    /// The account concerned. Empty when it belongs to no account.
    pub account_id: String,
    /// The sequence of the row in its account. Zero when it belongs to no row.
    pub sequence: i64,
    /// What ought to stand there. Empty when that cannot be told.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// A sentence in English for people.
    pub message: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerificationSummary {
    /// Rows checked.
    pub checked_rows: i64,
    /// Violations found. Zero: the ledger is sound.
    pub violation_count: i64,
    /// Rows whose texts were erased by anonymising.
    pub erased_rows: i64,
    /// The end of each chain that was checked.
    pub heads: Vec<ChainHead>,
    /// When the verification began.
    pub start_time: DateTime<Utc>,
}

/// The end of the hash chain of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainHead {
    /// The last row checked.
    pub position: Position,
    /// The hash of that row.
    pub hash: Vec<u8>,
}

impl Client {
    /// Checks the ledger row by row: of one account, or (`None`) everything. The summary is the last item; a stream
    /// that breaks before it ends with an error, and has not checked everything. It is not repeated by itself.
    pub async fn verify_ledger(
        &self,
        account_id: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Verification, Error>>, Error> {
        let wire = v1::VerifyLedgerRequest { account_id: account_id.unwrap_or_default().to_owned() };
        let answers = self.open(wire, |channel, request| async move { ledger(channel).verify_ledger(request).await });
        let messages = stream::try_unfold(Some(answers.await?), |answers| async {
            let Some(mut answers) = answers else { return Ok(None) };
            let Some(message) = answers.message().await.map_err(Error::from_status)? else {
                return Err(Error::transport("the verification ended without a summary"));
            };
            let message = Verification::try_from(message)?;
            let rest = (!matches!(message, Verification::Summary(_))).then_some(answers);
            Ok(Some((message, rest)))
        });
        Ok(messages.boxed())
    }
}

impl TryFrom<v1::VerifyLedgerResponse> for Verification {
    type Error = Malformed;

    fn try_from(answer: v1::VerifyLedgerResponse) -> Result<Self, Malformed> {
        use v1::verify_ledger_response::Message;
        Ok(match answer.message {
            Some(Message::Progress(progress)) => Verification::Progress {
                position: progress.position.map(Into::into),
                checked_rows: progress.checked_rows,
                total_rows: progress.total_rows,
            },
            Some(Message::Violation(violation)) => Verification::Violation(LedgerViolation {
                kind: violation.kind.into(),
                position: violation.position.map(Into::into),
                account_id: violation.account_id,
                sequence: violation.sequence,
                expected: violation.expected,
                found: violation.found,
                message: violation.message,
            }),
            Some(Message::Summary(summary)) => Verification::Summary(VerificationSummary {
                checked_rows: summary.checked_rows,
                violation_count: summary.violation_count,
                erased_rows: summary.erased_rows,
                heads: summary.heads.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                start_time: instant("summary.start_time", summary.start_time)?,
            }),
            None => Verification::Unrecognized,
        })
    }
}

impl TryFrom<v1::ChainHead> for ChainHead {
    type Error = Malformed;

    fn try_from(head: v1::ChainHead) -> Result<Self, Malformed> {
        Ok(Self { position: required("head.position", head.position)?.into(), hash: head.hash })
    }
}
