//! Refusals as a caller meets them. Whatever refuses is held to the contract: code, domain, metadata, violations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::contract;

/// A refusal that keeps to the contract.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The metadata of `ErrorInfo`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Every field at fault, with its reason.
    pub(crate) violations: Vec<(String, String)>,
    /// All details of a status; none of those of an operation in a batch.
    pub(crate) details: ErrorDetails,
    /// The sentence for people.
    pub(crate) message: String,
}

impl Refusal {
    /// A value of the metadata.
    pub(crate) fn detail(&self, name: &str) -> &str {
        self.metadata.get(name).unwrap_or_else(|| panic!("no metadata {name} in {:?}", self.metadata))
    }

    /// The fields at fault, as pairs of texts to compare with.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.violations.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect()
    }

    /// The first field at fault.
    pub(crate) fn field(&self) -> &str {
        self.violations.first().map_or("", |(field, _)| field)
    }
}

/// What can turn out to be a refusal.
pub(crate) trait Refused {
    /// Asserts that it was refused for this reason, as the contract says.
    #[track_caller]
    fn refused(self, reason: ErrorReason) -> Refusal;
}

impl<T: Debug> Refused for Result<T, Status> {
    fn refused(self, reason: ErrorReason) -> Refusal {
        match self {
            Ok(answer) => panic!("{} was expected, not {answer:?}", contract::name(reason)),
            Err(status) => refused(&status, reason),
        }
    }
}

/// Asserts that a status is a refusal for this reason, as the contract says.
#[track_caller]
pub(crate) fn refused(status: &Status, reason: ErrorReason) -> Refusal {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("a status without a reason: {status:?}"));
    let name = contract::name(reason);
    assert_eq!(info.reason, name, "{status:?}");
    assert_eq!(info.domain, "billing", "{status:?}");
    let violations: Vec<(String, String)> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|one| (one.field.clone(), one.reason.clone())).collect())
        .unwrap_or_default();
    let metadata = info.metadata.clone().into_iter().collect();
    let refusal = Refusal { metadata, violations, message: status.message().to_owned(), details };
    hold_to_contract(&refusal, status.code(), reason);
    check_details(&refusal, status.code(), reason);
    refusal
}

/// What can turn out to be a refused operation of a batch or a stream.
pub(crate) trait RefusedItem {
    /// Asserts that the operation was refused for this reason, as the contract says.
    #[track_caller]
    fn refused_item(&self, reason: ErrorReason) -> Refusal;
}

impl RefusedItem for v1::OperationResult {
    fn refused_item(&self, reason: ErrorReason) -> Refusal {
        let Some(v1::operation_result::Result::Error(error)) = &self.result else {
            panic!("{} was expected, not {self:?}", contract::name(reason));
        };
        assert_eq!(error.reason, contract::name(reason), "{error:?}");
        let refusal = Refusal {
            metadata: error.metadata.clone().into_iter().collect(),
            violations: error.violations.iter().map(|one| (one.field.clone(), one.reason.clone())).collect(),
            details: ErrorDetails::new(),
            message: error.message.clone(),
        };
        hold_to_contract(&refusal, Code::from_i32(error.code), reason);
        refusal
    }
}

/// The code and the metadata are those of the comment in `errors.proto`: nothing is missing, nothing is made up.
#[track_caller]
fn hold_to_contract(refusal: &Refusal, code: Code, reason: ErrorReason) {
    let promise = contract::promise(reason);
    let name = contract::name(reason);
    assert_eq!(code, promise.code, "the code of {name}: {refusal:?}");
    let told: BTreeSet<&str> = refusal.metadata.keys().map(String::as_str).collect();
    let mut known: BTreeSet<&str> = promise.required.iter().chain(&promise.optional).map(String::as_str).collect();
    if code == Code::InvalidArgument {
        // Of an invalid field its path is always told, and on a stream of events how far it has come.
        known.extend(["field", "resume_token"]);
    }
    for required in &promise.required {
        assert!(told.contains(required.as_str()), "{name} tells its {required}: {refusal:?}");
    }
    assert!(told.is_subset(&known), "{name} tells only {known:?}: {refusal:?}");
    assert!(!refusal.message.is_empty(), "{name} has a sentence for people");
    if let Some((_, first)) = refusal.violations.first() {
        assert_eq!(first, name, "the reason is that of the first field at fault: {refusal:?}");
    }
}

/// The details that belong to the code.
#[track_caller]
fn check_details(refusal: &Refusal, code: Code, reason: ErrorReason) {
    let details = &refusal.details;
    let name = contract::name(reason);
    match code {
        Code::NotFound | Code::AlreadyExists => {
            let resource = details.resource_info().unwrap_or_else(|| panic!("{name} names its resource"));
            assert!(resource.resource_type.starts_with("billing.v1."), "{resource:?}");
            assert!(!resource.resource_name.is_empty(), "{resource:?}");
        }
        Code::Unavailable => assert!(details.retry_info().is_some(), "{name} says when to try again"),
        Code::ResourceExhausted if reason == ErrorReason::Overloaded => {
            assert!(details.retry_info().is_some(), "{name} says when to try again");
        }
        _ => {}
    }
}
