//! Operations of a batch or a stream, which are those of the single calls.

use billing_proto::v1;
use v1::operation::Operation;
use v1::operation_result::Result as Wire;

use super::{hold, post, reversal, transfer};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::command::{Answer, Body, Command, Outcome};
use crate::engine::record::Record;
use crate::status;

/// A command whose principal is not named yet.
pub fn command(account_id: String, key: Option<String>, body: Body, validate_only: bool) -> Command {
    Command { account_id, key, principal: None, body, validate_only }
}

/// A row that an answer must hold.
pub(super) fn row(outcome: &Outcome, index: usize) -> Result<&Record, Refusal> {
    let row = outcome.rows.get(index).map(|record| &**record);
    row.ok_or_else(|| status::fault(format!("row {index} of an answer is missing")))
}

/// Which operation it is: what its answer looks like, and the field it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Form {
    Unknown,
    Post,
    Transfer,
    Reverse,
    PlaceHold,
    CaptureHold,
    ReleaseHold,
}

impl Form {
    /// The form of an operation.
    pub fn of(operation: &v1::Operation) -> Self {
        match &operation.operation {
            None => Self::Unknown,
            Some(Operation::Post(_)) => Self::Post,
            Some(Operation::Transfer(_)) => Self::Transfer,
            Some(Operation::Reverse(_)) => Self::Reverse,
            Some(Operation::PlaceHold(_)) => Self::PlaceHold,
            Some(Operation::CaptureHold(_)) => Self::CaptureHold,
            Some(Operation::ReleaseHold(_)) => Self::ReleaseHold,
        }
    }

    /// The field that the operation stands in.
    pub fn field(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Post => "post",
            Self::Transfer => "transfer",
            Self::Reverse => "reverse",
            Self::PlaceHold => "place_hold",
            Self::CaptureHold => "capture_hold",
            Self::ReleaseHold => "release_hold",
        }
    }
}

/// The account and the key that an operation names, as far as it does.
pub fn names_of(operation: &v1::Operation) -> (String, String) {
    let (account_id, key) = match &operation.operation {
        None => return Default::default(),
        Some(Operation::Post(request)) => (&request.account_id, &request.idempotency_key),
        Some(Operation::Transfer(request)) => (&request.from_account_id, &request.idempotency_key),
        Some(Operation::Reverse(request)) => (&request.account_id, &request.idempotency_key),
        Some(Operation::PlaceHold(request)) => (&request.account_id, &request.idempotency_key),
        Some(Operation::CaptureHold(request)) => (&request.account_id, &request.idempotency_key),
        Some(Operation::ReleaseHold(request)) => (&request.account_id, &request.idempotency_key),
    };
    (account_id.clone(), key.clone())
}

/// The command of an operation.
///
/// # Errors
/// All violations of its shape.
pub fn read(operation: v1::Operation) -> Result<Command, Refusal> {
    match operation.operation {
        None => Err(Refusal::field(Reason::FieldRequired, "operation", "An operation says what to do.")),
        Some(Operation::Post(request)) => post::command(request),
        Some(Operation::Transfer(request)) => transfer::command(request),
        Some(Operation::Reverse(request)) => reversal::command(request),
        Some(Operation::PlaceHold(request)) => hold::place(request),
        Some(Operation::CaptureHold(request)) => hold::capture(request),
        Some(Operation::ReleaseHold(request)) => hold::release(request),
    }
}

/// Refuses an operation that asks for its own preview: a batch is tried as a whole or not at all.
///
/// # Errors
/// `FIELD_NOT_ALLOWED`.
pub fn refuse_preview(command: Command) -> Result<Command, Refusal> {
    if command.validate_only {
        let description = "An operation among others is not tried alone; a batch has a validate_only of its own.";
        return Err(Refusal::field(Reason::FieldNotAllowed, "validate_only", description));
    }
    Ok(command)
}

/// What became of an operation.
pub fn result(form: Form, answer: &Answer, preview: bool) -> v1::OperationResult {
    let written = match answer {
        Ok(outcome) => written(form, outcome, preview),
        Err(refusal) => Err(refusal.clone()),
    };
    let result = written.unwrap_or_else(|refusal| Wire::Error(status::operation_error(&refusal, form.field())));
    v1::OperationResult { result: Some(result) }
}

fn written(form: Form, outcome: &Outcome, preview: bool) -> Result<Wire, Refusal> {
    Ok(match form {
        Form::Unknown => return Err(status::fault("an operation of no form was answered")),
        Form::Post => Wire::Post(post::answer(outcome, preview)?),
        Form::Transfer => Wire::Transfer(transfer::answer(outcome, preview)?),
        Form::Reverse => Wire::Reverse(reversal::answer(outcome, preview)?),
        Form::PlaceHold => Wire::PlaceHold(hold::placed(outcome, preview)?),
        Form::CaptureHold => Wire::CaptureHold(hold::captured(outcome, preview)?),
        Form::ReleaseHold => Wire::ReleaseHold(hold::released(outcome, preview)?),
    })
}
