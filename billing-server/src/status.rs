//! The one place where a refusal becomes a gRPC status, with all its details.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use billing_db::{DbError, ErrorKind};
use billing_proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::domain::reason::{Class, Reason, Refusal, Violation};

/// What a refusal names an estimate of the wait by; told as `RetryInfo`, not as metadata.
const RETRY_AFTER_MS: &str = "retry_after_ms";
/// What a refusal names the type of the thing that is taken by; told as `ResourceInfo`, not as metadata.
const RESOURCE_TYPE: &str = "resource_type";
/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "billing";
/// Details travel in a header, which clients bound (8 KiB in some), so no list may fill it.
const MAX_VIOLATIONS: usize = 40;
/// The longest text for people in a status, in characters: what a caller sent may stand in it. What programs read, the
/// metadata and the names of resources, goes out whole, since a part of it is good for nothing (a resume token, an id);
/// whoever puts a caller's words there puts no more than an excerpt.
const MAX_TEXT: usize = 300;

/// The status of a refusal.
pub fn of(refusal: &Refusal) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(refusal.reason.name(), DOMAIN, metadata_of(refusal, ""));
    match refusal.reason.class() {
        Class::Invalid if !refusal.violations.is_empty() => {
            details.set_bad_request(shown(refusal).map(field_violation).collect::<Vec<_>>());
        }
        Class::Precondition => {
            for violation in shown(refusal) {
                details.add_precondition_failure_violation(
                    &violation.reason,
                    &violation.field,
                    clip(&violation.description),
                );
            }
        }
        Class::NotFound | Class::Exists => {
            let (kind, name) = resource_of(refusal);
            details.set_resource_info(kind, name, "", clip(&refusal.message));
        }
        Class::Exhausted => {
            details.add_quota_failure_violation(refusal.reason.name(), clip(&refusal.message));
        }
        _ => {}
    }
    if let Some(delay) = retry_delay(refusal) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code_of(refusal.reason), clip(&refusal.message), details)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        of(&refusal)
    }
}

/// The refusal of one operation of a batch or a stream; `operation` is the field that it stands in, such as `post`.
pub fn operation_error(refusal: &Refusal, operation: &str) -> v1::OperationError {
    v1::OperationError {
        code: code_of(refusal.reason).into(),
        reason: refusal.reason.name().to_owned(),
        message: clip(&refusal.message),
        metadata: metadata_of(refusal, operation),
        violations: shown(refusal)
            .map(|violation| v1::FieldViolation {
                field: path(operation, &violation.field),
                reason: violation.reason.clone(),
                description: clip(&violation.description),
            })
            .collect(),
        retry_delay: retry_delay(refusal).and_then(|delay| delay.try_into().ok()),
    }
}

/// A fault of the service: logged once with its cause, and told to the caller by its id only.
pub fn internal(error_id: &str, cause: &dyn Display) -> Refusal {
    tracing::error!(error_id, %cause, "an internal error was answered");
    Refusal::new(Reason::Internal, "Something failed inside; the log of the server has the cause under the error id.")
        .with("error_id", error_id)
}

/// A fault of the service under a new id.
pub fn fault(cause: impl Display) -> Refusal {
    internal(&uuid::Uuid::new_v4().simple().to_string(), &cause)
}

/// What a failed query means for the caller. A read changes nothing, so a link that broke under one is no more than a
/// database that cannot be reached; what became of a write is the engine's to find out.
pub fn of_storage(error: &DbError) -> Refusal {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
            tracing::warn!(cause = %error, "the database cannot be reached");
            Refusal::new(Reason::StorageUnavailable, "The database cannot be reached; nothing was changed.")
        }
        ErrorKind::StorageFull => {
            tracing::warn!(cause = %error, "the database is full");
            Refusal::new(Reason::StorageFull, "The database has no room; nothing was changed.")
        }
        ErrorKind::Retry => Refusal::new(Reason::Contention, "Others were faster; repeat the call."),
        _ => fault(error),
    }
}

/// The status that the transport has made of a message it cannot read, in the words of the contract; any other stays as it
/// is. The transport tells such messages apart in English only.
pub fn of_transport(status: Status) -> Status {
    const MALFORMED: [&str; 4] =
        ["failed to decode Protobuf message", "Missing request message", "Unexpected EOF decoding", "protocol error"];
    let message = status.message();
    if !status.details().is_empty() {
        return status;
    }
    let refusal = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if message.contains("limit") => {
            let max = message.split(|letter: char| !letter.is_ascii_digit()).rfind(|digits| !digits.is_empty());
            Refusal::new(Reason::MessageTooLarge, "The message has more bytes than it may.")
                .with("max_bytes", max.unwrap_or_default())
        }
        Code::Internal if message.contains("not UTF-8") => {
            Refusal::field(Reason::TextNotUtf8, &undecoded_field(message), "A text of the message is not UTF-8.")
        }
        Code::Internal
            if MALFORMED.iter().any(|start| message.starts_with(start)) || message.contains("decompress") =>
        {
            Refusal::new(Reason::MessageMalformed, "The bytes of the message cannot be decoded.")
        }
        _ => return status,
    };
    of(&refusal)
}

/// The path of the field that could not be decoded, of a message such as
/// `failed to decode Protobuf message: PostRequest.amount: Money.value: invalid string value: …`.
fn undecoded_field(message: &str) -> String {
    let steps = message.split(": ").filter_map(|step| step.split_once('.')).map(|(_, field)| field);
    steps
        .filter(|field| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect::<Vec<_>>()
        .join(".")
}

/// The gRPC code of a reason.
pub fn code_of(reason: Reason) -> Code {
    match reason.class() {
        Class::Invalid => Code::InvalidArgument,
        Class::NotFound => Code::NotFound,
        Class::Exists => Code::AlreadyExists,
        Class::Precondition => Code::FailedPrecondition,
        Class::Aborted => Code::Aborted,
        Class::OutOfRange => Code::OutOfRange,
        Class::Exhausted => Code::ResourceExhausted,
        Class::Deadline => Code::DeadlineExceeded,
        Class::Unavailable => Code::Unavailable,
        Class::Unauthenticated => Code::Unauthenticated,
        Class::Denied => Code::PermissionDenied,
        Class::Internal => Code::Internal,
        Class::DataLoss => Code::DataLoss,
    }
}

/// After how long trying again makes sense; `None` where it does not help.
fn retry_delay(refusal: &Refusal) -> Option<Duration> {
    let estimated = refusal.metadata.get(RETRY_AFTER_MS).and_then(|ms| ms.parse().ok());
    if let Some(delay_ms) = estimated {
        return Some(Duration::from_millis(delay_ms));
    }
    let delay_ms = match refusal.reason {
        Reason::StreamAgeReached => 0,
        Reason::Contention => 20,
        Reason::ShuttingDown | Reason::PositionNotReached => 100,
        Reason::CommitOutcomeUnknown => 200,
        Reason::Overloaded => 500,
        Reason::StorageUnavailable => 1_000,
        Reason::ReadOnly | Reason::ClockSkew => 5_000,
        Reason::StorageFull => 30_000,
        _ => return None,
    };
    Some(Duration::from_millis(delay_ms))
}

/// The type and the name of the thing that is missing or taken.
fn resource_of(refusal: &Refusal) -> (String, String) {
    let named = |key: &str| refusal.metadata.get(key).cloned().unwrap_or_default();
    match refusal.reason {
        Reason::AccountNotFound => ("billing.v1.Account".to_owned(), named("account_id")),
        Reason::EntryNotFound => {
            ("billing.v1.Entry".to_owned(), format!("{}/{}", named("account_id"), named("sequence")))
        }
        Reason::HoldNotFound => ("billing.v1.Hold".to_owned(), format!("{}/{}", named("account_id"), named("hold_id"))),
        _ => (named(RESOURCE_TYPE), named("id")),
    }
}

/// The metadata of `ErrorInfo`. The field at fault always stands in it.
fn metadata_of(refusal: &Refusal, operation: &str) -> HashMap<String, String> {
    let told = refusal.metadata.iter().filter(|(key, _)| *key != RETRY_AFTER_MS && *key != RESOURCE_TYPE);
    let mut metadata: HashMap<_, _> = told.map(|(key, value)| (key.clone(), value.clone())).collect();
    if refusal.reason.class() == Class::Invalid
        && let Some(violation) = refusal.violations.first()
    {
        metadata.insert("field".to_owned(), path(operation, &violation.field));
    }
    metadata
}

fn shown(refusal: &Refusal) -> impl Iterator<Item = &Violation> {
    refusal.violations.iter().take(MAX_VIOLATIONS)
}

fn field_violation(violation: &Violation) -> FieldViolation {
    let mut field = FieldViolation::new(&violation.field, clip(&violation.description));
    field.reason.clone_from(&violation.reason);
    field
}

fn path(operation: &str, field: &str) -> String {
    if operation.is_empty() { field.to_owned() } else { format!("{operation}.{field}") }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: &str = include_str!("../../proto/billing/v1/errors.proto");

    /// The comment of each reason of the contract, by its name.
    fn documented() -> HashMap<&'static str, String> {
        let mut comment = String::new();
        let mut reasons = HashMap::new();
        for line in ERRORS.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("//") {
                comment.push_str(text.trim());
                comment.push(' ');
                continue;
            }
            let value = line.strip_prefix("ERROR_REASON_").and_then(|rest| rest.split_once(" = "));
            if let Some((name, _)) = value {
                reasons.insert(name, std::mem::take(&mut comment));
            }
            comment.clear();
        }
        reasons
    }

    fn code_name(reason: Reason) -> String {
        let mut name = String::new();
        for letter in format!("{:?}", code_of(reason)).chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    #[test]
    fn every_reason_is_a_value_of_the_contract() {
        for reason in Reason::ALL {
            let name = format!("ERROR_REASON_{}", reason.name());
            assert!(v1::ErrorReason::from_str_name(&name).is_some(), "{name} is not in errors.proto");
        }
    }

    #[test]
    fn every_reason_has_the_code_and_the_memory_of_the_contract() {
        let documented = documented();
        for reason in Reason::ALL {
            let comment = documented.get(reason.name()).map(String::as_str).unwrap_or_default();
            let code = comment.split('.').next().unwrap_or_default();
            assert_eq!(code, code_name(*reason), "{}", reason.name());
            let remembered = comment.contains("Remembered for its key");
            assert_eq!(remembered, reason.is_remembered(), "{}", reason.name());
        }
    }

    #[test]
    fn all_violations_stand_in_the_details_with_their_reasons() {
        let refusal = Refusal::field(Reason::FieldRequired, "account_id", "account_id is required.").violating(
            "amount.value",
            "AMOUNT_MALFORMED",
            "An amount is a plain decimal.",
        );
        let details = of(&refusal).get_error_details();
        let fields: Vec<_> = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|field| (field.field.as_str(), field.reason.as_str())).collect())
            .unwrap_or_default();
        assert_eq!(fields, [("account_id", "FIELD_REQUIRED"), ("amount.value", "AMOUNT_MALFORMED")]);
        let info = details.error_info().map(|info| (info.reason.as_str(), info.domain.as_str()));
        assert_eq!(info, Some(("FIELD_REQUIRED", DOMAIN)));
        let error = operation_error(&refusal, "post");
        assert_eq!(error.metadata.get("field").map(String::as_str), Some("post.account_id"));
        assert_eq!(error.violations.len(), 2);
    }

    #[test]
    fn what_stands_against_closing_is_a_list_of_preconditions() {
        let refusal =
            Refusal::new(Reason::AccountNotClosable, "No.").violating("holds", "HOLDS_OPEN", "1 hold(s) are open.");
        let status = of(&refusal);
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let kinds: Vec<_> = details
            .precondition_failure()
            .map(|failure| failure.violations.iter().map(|violation| violation.r#type.as_str()).collect())
            .unwrap_or_default();
        assert_eq!(kinds, ["HOLDS_OPEN"]);
    }

    #[test]
    fn what_the_transport_cannot_read_is_told_in_the_words_of_the_contract() {
        let utf8 = "failed to decode Protobuf message: PostRequest.amount: Money.value: invalid string value: data is not \
                    UTF-8 encoded";
        for (code, message, reason, key, value) in [
            (Code::Internal, utf8, "TEXT_NOT_UTF8", "field", "amount.value"),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 9 bytes, the limit is: 5 bytes",
                "MESSAGE_TOO_LARGE",
                "max_bytes",
                "5",
            ),
            (Code::Internal, "failed to decode Protobuf message: invalid varint", "MESSAGE_MALFORMED", "", ""),
        ] {
            let info = of_transport(Status::new(code, message)).get_details_error_info();
            let info = info.map(|info| (info.reason, info.metadata.get(key).cloned().unwrap_or_default()));
            assert_eq!(info, Some((reason.to_owned(), value.to_owned())));
        }
        assert_eq!(of_transport(Status::internal("something else")).message(), "something else");
    }

    #[test]
    fn an_estimate_of_the_wait_is_the_retry_delay() {
        let status = of(&Refusal::new(Reason::Overloaded, "Later.").with(RETRY_AFTER_MS, 70));
        let details = status.get_error_details();
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(Duration::from_millis(70)));
        assert!(details.error_info().is_some_and(|info| info.metadata.is_empty()));
    }

    #[test]
    fn long_texts_for_people_are_cut_and_what_programs_read_is_not() {
        let token = "t".repeat(1_500);
        let refusal = Refusal::field(Reason::FieldTooLong, "x", "é".repeat(100_000)).with("resume_token", &token);
        let status = of(&refusal);
        assert!(status.details().len() < 4_000);
        let info = status.get_details_error_info();
        assert_eq!(info.and_then(|info| info.metadata.get("resume_token").cloned()), Some(token.clone()));
        assert_eq!(operation_error(&refusal, "post").metadata.get("resume_token"), Some(&token));
    }
}
