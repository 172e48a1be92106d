//! What `errors.proto` says of each reason: the code it comes with, the metadata, and whether it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use billing_proto::v1::ErrorReason;
use tonic::Code;

const ERRORS: &str = include_str!("../../../proto/billing/v1/errors.proto");
const PREFIX: &str = "ERROR_REASON_";

/// What the comment of a reason promises.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// The gRPC code.
    pub(crate) code: Code,
    /// Metadata that is always there.
    pub(crate) required: BTreeSet<String>,
    /// Metadata that is there when it is known, or when it is the matter.
    pub(crate) optional: BTreeSet<String>,
    /// Whether the refusal is remembered for its key.
    pub(crate) remembered: bool,
}

/// The name of a reason on the wire.
pub(crate) fn name(reason: ErrorReason) -> &'static str {
    reason.as_str_name().strip_prefix(PREFIX).unwrap()
}

/// Every reason of the contract.
pub(crate) fn reasons() -> impl Iterator<Item = ErrorReason> {
    promises().keys().map(|name| ErrorReason::from_str_name(&format!("{PREFIX}{name}")).unwrap())
}

/// What the contract says of a reason.
pub(crate) fn promise(reason: ErrorReason) -> &'static Promise {
    &promises()[name(reason)]
}

fn promises() -> &'static BTreeMap<String, Promise> {
    static PROMISES: OnceLock<BTreeMap<String, Promise>> = OnceLock::new();
    PROMISES.get_or_init(|| {
        let mut comment = String::new();
        let mut promises = BTreeMap::new();
        for line in ERRORS.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("//") {
                comment.push_str(text.trim());
                comment.push(' ');
                continue;
            }
            if let Some((name, _)) = line.strip_prefix(PREFIX).and_then(|rest| rest.split_once(" = "))
                && name != "UNSPECIFIED"
            {
                promises.insert(name.to_owned(), read(&comment));
            }
            comment.clear();
        }
        promises
    })
}

fn read(comment: &str) -> Promise {
    let (code, rest) = comment.split_once('.').unwrap();
    let metadata = rest.split_once("Metadata:").map(|(_, after)| after.split_once('.').unwrap().0).unwrap_or_default();
    // "`a`, `b`, and `c` when it is known": what follows the last "and" is there under a condition, as is everything
    // when the sentence has one without it.
    let metadata = without_parentheses(metadata);
    let conditional = |text: &str| text.contains(" when ") || text.contains(" on a ") || text.contains(" or `");
    let (always, sometimes) = match metadata.split_once(", and ") {
        Some(parts) => parts,
        None if conditional(&metadata) => ("", metadata.as_str()),
        None => (metadata.as_str(), ""),
    };
    Promise {
        code: code_of(code),
        required: names(always),
        optional: names(sometimes),
        remembered: comment.contains("Remembered for its key"),
    }
}

/// The words between backticks.
fn names(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let mut outside = String::new();
    for letter in text.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        if depth == 0 && letter != ')' {
            outside.push(letter);
        }
    }
    outside
}

fn code_of(name: &str) -> Code {
    (1..=16)
        .map(Code::from_i32)
        .find(|code| format!("{code:?}").to_lowercase() == name.replace('_', "").to_lowercase())
        .unwrap_or_else(|| panic!("{name} is no gRPC code"))
}

#[test]
fn comments_are_read_as_people_read_them() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    for (reason, code, required, optional, remembered) in [
        (ErrorReason::BatchEmpty, Code::InvalidArgument, &[][..], &[][..], false),
        (ErrorReason::DateRangeInvalid, Code::InvalidArgument, &["from", "to"], &["max_days"], false),
        (ErrorReason::PermissionDenied, Code::PermissionDenied, &["permission"], &["rpc", "kind", "field"], false),
        (ErrorReason::ScopeTooNarrow, Code::PermissionDenied, &[], &["account_id"], false),
        (ErrorReason::AccessSuspended, Code::FailedPrecondition, &["account_id", "reasons"], &[], true),
        (ErrorReason::DeadlineExceeded, Code::DeadlineExceeded, &["started"], &[], false),
        (ErrorReason::StreamAgeReached, Code::Unavailable, &[], &["resume_token"], false),
        (ErrorReason::Internal, Code::Internal, &["error_id"], &[], false),
    ] {
        let promise = promise(reason);
        let read = (promise.code, promise.required.clone(), promise.optional.clone(), promise.remembered);
        assert_eq!(read, (code, set(required), set(optional), remembered), "{reason:?}");
    }
}
