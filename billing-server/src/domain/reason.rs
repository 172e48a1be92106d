//! Why a request was refused: the reasons of `errors.proto`, with what follows from each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of refusal a reason is; the transport makes its status code from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request is malformed or contradicts what it names.
    Invalid,
    /// What is named does not exist.
    NotFound,
    /// The id is taken by something else.
    Exists,
    /// The state of what is named does not allow it.
    Precondition,
    /// A guard did not hold; read again and decide anew.
    Aborted,
    /// Beyond what can be represented or is there.
    OutOfRange,
    /// Too much at once.
    Exhausted,
    /// Time is up.
    Deadline,
    /// Not now; try again.
    Unavailable,
    /// Who calls is not known.
    Unauthenticated,
    /// Who calls may not do this.
    Denied,
    /// A fault of the service.
    Internal,
    /// The stored data contradict themselves.
    DataLoss,
}

macro_rules! reasons {
    ($($variant:ident $name:literal $class:ident $remembered:literal)*) => {
        /// Why a request was refused. The names are those of `errors.proto`, where each is explained.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Reason { $($variant,)* }

        impl Reason {
            /// Every reason this server gives.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as it stands on the wire and in the database.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of refusal.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// Whether the refusal is remembered for its idempotency key: the last column of `errors.md`.
            pub const fn is_remembered(self) -> bool {
                match self { $(Self::$variant => $remembered,)* }
            }
        }
    };
}

reasons! {
    FieldRequired "FIELD_REQUIRED" Invalid false
    FieldMalformed "FIELD_MALFORMED" Invalid false
    FieldTooLong "FIELD_TOO_LONG" Invalid false
    FieldOutOfRange "FIELD_OUT_OF_RANGE" Invalid false
    FieldConflict "FIELD_CONFLICT" Invalid false
    FieldNotAllowed "FIELD_NOT_ALLOWED" Invalid false
    FieldImmutable "FIELD_IMMUTABLE" Invalid false
    EnumValueUnknown "ENUM_VALUE_UNKNOWN" Invalid false
    IdMalformed "ID_MALFORMED" Invalid false
    IdempotencyKeyMalformed "IDEMPOTENCY_KEY_MALFORMED" Invalid false
    TextNotUtf8 "TEXT_NOT_UTF8" Invalid false
    MessageMalformed "MESSAGE_MALFORMED" Invalid false
    AmountMalformed "AMOUNT_MALFORMED" Invalid false
    AmountNotPositive "AMOUNT_NOT_POSITIVE" Invalid false
    AmountTooPrecise "AMOUNT_TOO_PRECISE" Invalid false
    AmountOutOfRange "AMOUNT_OUT_OF_RANGE" Invalid false
    CurrencyUnknown "CURRENCY_UNKNOWN" Invalid false
    CurrencyMismatch "CURRENCY_MISMATCH" Invalid false
    KindNotPostable "KIND_NOT_POSTABLE" Invalid false
    SameAccount "SAME_ACCOUNT" Invalid false
    TaxRateOutOfRange "TAX_RATE_OUT_OF_RANGE" Invalid false
    TaxExceedsAmount "TAX_EXCEEDS_AMOUNT" Invalid false
    QuantityNotPositive "QUANTITY_NOT_POSITIVE" Invalid false
    DiscountOutOfRange "DISCOUNT_OUT_OF_RANGE" Invalid false
    TimeZoneUnknown "TIME_ZONE_UNKNOWN" Invalid false
    DateMalformed "DATE_MALFORMED" Invalid false
    DateRangeInvalid "DATE_RANGE_INVALID" Invalid false
    OccurredAtOutOfRange "OCCURRED_AT_OUT_OF_RANGE" Invalid false
    AsOfInFuture "AS_OF_IN_FUTURE" Invalid false
    HoldExpiryOutOfRange "HOLD_EXPIRY_OUT_OF_RANGE" Invalid false
    DueDateBeforeIssue "DUE_DATE_BEFORE_ISSUE" Invalid false
    BatchEmpty "BATCH_EMPTY" Invalid false
    BatchTooLarge "BATCH_TOO_LARGE" Invalid false
    MetadataTooLarge "METADATA_TOO_LARGE" Invalid false
    TooManyItems "TOO_MANY_ITEMS" Invalid false
    UpdateMaskInvalid "UPDATE_MASK_INVALID" Invalid false
    PageTokenInvalid "PAGE_TOKEN_INVALID" Invalid false
    ResumeTokenInvalid "RESUME_TOKEN_INVALID" Invalid false
    LocaleUnknown "LOCALE_UNKNOWN" Invalid false
    InvoiceWithoutLines "INVOICE_WITHOUT_LINES" Invalid false
    SeriesPatternInvalid "SERIES_PATTERN_INVALID" Invalid false
    PolicyInconsistent "POLICY_INCONSISTENT" Invalid false
    CredentialsMissing "CREDENTIALS_MISSING" Unauthenticated false
    CredentialsInvalid "CREDENTIALS_INVALID" Unauthenticated false
    PermissionDenied "PERMISSION_DENIED" Denied false
    AccountNotFound "ACCOUNT_NOT_FOUND" NotFound false
    EntryNotFound "ENTRY_NOT_FOUND" NotFound true
    HoldNotFound "HOLD_NOT_FOUND" NotFound true
    ResourceAlreadyExists "RESOURCE_ALREADY_EXISTS" Exists false
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" Precondition false
    AccountAnonymized "ACCOUNT_ANONYMIZED" Precondition false
    InsufficientFunds "INSUFFICIENT_FUNDS" Precondition true
    InsufficientOwnFunds "INSUFFICIENT_OWN_FUNDS" Precondition true
    AccountClosed "ACCOUNT_CLOSED" Precondition true
    AccessSuspended "ACCESS_SUSPENDED" Precondition true
    PeriodClosed "PERIOD_CLOSED" Precondition true
    EntryNotReversible "ENTRY_NOT_REVERSIBLE" Precondition true
    AlreadyReversed "ALREADY_REVERSED" Precondition true
    ReversalExceedsRest "REVERSAL_EXCEEDS_REST" Precondition true
    HoldAlreadyCaptured "HOLD_ALREADY_CAPTURED" Precondition true
    HoldAlreadyReleased "HOLD_ALREADY_RELEASED" Precondition true
    HoldExpired "HOLD_EXPIRED" Precondition true
    CaptureExceedsHold "CAPTURE_EXCEEDS_HOLD" Precondition true
    WriteOffExceedsDebt "WRITE_OFF_EXCEEDS_DEBT" Precondition true
    AccountNotClosable "ACCOUNT_NOT_CLOSABLE" Precondition true
    AccountNotClosed "ACCOUNT_NOT_CLOSED" Precondition true
    LimitBelowUse "LIMIT_BELOW_USE" Precondition true
    InvoiceNotDraft "INVOICE_NOT_DRAFT" Precondition true
    InvoiceNotIssued "INVOICE_NOT_ISSUED" Precondition true
    InvoiceHasPayments "INVOICE_HAS_PAYMENTS" Precondition true
    InvoiceFinal "INVOICE_FINAL" Precondition true
    CreditExceedsInvoice "CREDIT_EXCEEDS_INVOICE" Precondition true
    NothingToBill "NOTHING_TO_BILL" Precondition true
    DueDateNotLater "DUE_DATE_NOT_LATER" Precondition true
    SubscriptionState "SUBSCRIPTION_STATE" Precondition true
    SubscriptionChangeInPast "SUBSCRIPTION_CHANGE_IN_PAST" Precondition true
    AlreadySuspended "ALREADY_SUSPENDED" Precondition true
    NotSuspended "NOT_SUSPENDED" Precondition true
    PromiseNotOffered "PROMISE_NOT_OFFERED" Precondition true
    PromiseNotNeeded "PROMISE_NOT_NEEDED" Precondition true
    PromiseAmountTooHigh "PROMISE_AMOUNT_TOO_HIGH" Precondition true
    PromiseTooLong "PROMISE_TOO_LONG" Precondition true
    PromiseAlreadyOpen "PROMISE_ALREADY_OPEN" Precondition true
    PromiseCooldown "PROMISE_COOLDOWN" Precondition true
    PromiseLocked "PROMISE_LOCKED" Precondition true
    ClaimNotAllowed "CLAIM_NOT_ALLOWED" Precondition true
    ClaimAlreadyMade "CLAIM_ALREADY_MADE" Precondition true
    ResumeTokenDiverged "RESUME_TOKEN_DIVERGED" Precondition false
    EtagMismatch "ETAG_MISMATCH" Aborted false
    SequenceMismatch "SEQUENCE_MISMATCH" Aborted false
    LinkedItemFailed "LINKED_ITEM_FAILED" Aborted false
    Contention "CONTENTION" Aborted false
    BalanceOverflow "BALANCE_OVERFLOW" OutOfRange true
    ResumeTokenExpired "RESUME_TOKEN_EXPIRED" OutOfRange false
    PositionAhead "POSITION_AHEAD" OutOfRange false
    Overloaded "OVERLOADED" Exhausted false
    QuotaExceeded "QUOTA_EXCEEDED" Exhausted false
    TooManyStreams "TOO_MANY_STREAMS" Exhausted false
    MessageTooLarge "MESSAGE_TOO_LARGE" Exhausted false
    StorageFull "STORAGE_FULL" Exhausted false
    SlowSubscriber "SLOW_SUBSCRIBER" Exhausted false
    DeadlineExceeded "DEADLINE_EXCEEDED" Deadline false
    CommitOutcomeUnknown "COMMIT_OUTCOME_UNKNOWN" Unavailable false
    StorageUnavailable "STORAGE_UNAVAILABLE" Unavailable false
    ShuttingDown "SHUTTING_DOWN" Unavailable false
    StreamAgeReached "STREAM_AGE_REACHED" Unavailable false
    ReadOnly "READ_ONLY" Unavailable false
    PositionNotReached "POSITION_NOT_REACHED" Unavailable false
    ClockSkew "CLOCK_SKEW" Unavailable false
    Internal "INTERNAL" Internal false
    LedgerCorrupt "LEDGER_CORRUPT" DataLoss false
}

impl Reason {
    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown reason {name}")))
    }
}

/// What is wrong with one field or one condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field's path in the request, or the thing a condition is about.
    pub field: String,
    /// A reason of `errors.proto`; a name, since conditions such as `HOLDS_OPEN` are no answer of their own.
    pub reason: String,
    /// One sentence for a person: what is wrong and what would be right.
    pub description: String,
}

/// A refusal: its reason, a sentence for a person, and what a program may need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// One sentence: what is wrong and what would be right.
    pub message: String,
    /// Figures and names, as `errors.proto` lists them for the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Every field or condition at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), metadata: BTreeMap::new(), violations: Vec::new() }
    }

    /// The same, with one more figure or name.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// The same, with one more field or condition at fault.
    #[must_use]
    pub fn violating(mut self, field: &str, reason: &str, description: impl Into<String>) -> Self {
        self.violations.push(Violation {
            field: field.to_owned(),
            reason: reason.to_owned(),
            description: description.into(),
        });
        self
    }

    /// A refusal about one field of the request.
    pub fn field(reason: Reason, field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self::new(reason, description.clone()).violating(field, reason.name(), description)
    }
}
