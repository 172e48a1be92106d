//! Why the service refuses a call.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// Why a call was refused: the values of `billing.v1.ErrorReason`.
        ///
        /// Later versions of the service add reasons; those arrive as [`Reason::Unknown`], and are best treated by
        /// the code of the refusal.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
            /// A reason that this version of the client does not know. Empty when the refusal named none, as refusals
            /// of a proxy do.
            Unknown(String),
        }

        impl Reason {
            /// Every reason that this version of the client knows, in the order of the contract.
            pub const KNOWN: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The name as it stands in `ErrorInfo.reason`, such as `INSUFFICIENT_FUNDS`.
            pub fn name(&self) -> &str {
                match self {
                    $(Reason::$variant => $name,)+
                    Reason::Unknown(name) => name,
                }
            }
        }

        impl From<&str> for Reason {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Reason::$variant,)+
                    other => Reason::Unknown(other.to_owned()),
                }
            }
        }
    };
}

reasons! {
    /// `INVALID_ARGUMENT`. A required field is missing or empty.
    FieldRequired => "FIELD_REQUIRED",
    /// `INVALID_ARGUMENT`. A field does not have the form it must have.
    FieldMalformed => "FIELD_MALFORMED",
    /// `INVALID_ARGUMENT`. A text or list is longer than it may be.
    FieldTooLong => "FIELD_TOO_LONG",
    /// `INVALID_ARGUMENT`. A number or a duration is outside its limits.
    FieldOutOfRange => "FIELD_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. Two fields exclude or contradict each other.
    FieldConflict => "FIELD_CONFLICT",
    /// `INVALID_ARGUMENT`. A field must not be set here, such as `invoice_id` of a charge.
    FieldNotAllowed => "FIELD_NOT_ALLOWED",
    /// `INVALID_ARGUMENT`. An update names a field that never changes.
    FieldImmutable => "FIELD_IMMUTABLE",
    /// `INVALID_ARGUMENT`. An enum holds a number that this version does not know.
    EnumValueUnknown => "ENUM_VALUE_UNKNOWN",
    /// `INVALID_ARGUMENT`. An identifier is not 1 to 64 characters of its alphabet.
    IdMalformed => "ID_MALFORMED",
    /// `INVALID_ARGUMENT`. The idempotency key is not 1 to 128 visible ASCII characters.
    IdempotencyKeyMalformed => "IDEMPOTENCY_KEY_MALFORMED",
    /// `INVALID_ARGUMENT`. A text is not UTF-8, or holds a NUL.
    TextNotUtf8 => "TEXT_NOT_UTF8",
    /// `INVALID_ARGUMENT`. The bytes of the message cannot be decoded.
    MessageMalformed => "MESSAGE_MALFORMED",
    /// `INVALID_ARGUMENT`. The value of an amount is no plain decimal.
    AmountMalformed => "AMOUNT_MALFORMED",
    /// `INVALID_ARGUMENT`. An amount that must be above zero is not.
    AmountNotPositive => "AMOUNT_NOT_POSITIVE",
    /// `INVALID_ARGUMENT`. An amount has more than 6 fraction digits.
    AmountTooPrecise => "AMOUNT_TOO_PRECISE",
    /// `INVALID_ARGUMENT`. An amount is beyond plus or minus 9,000,000,000,000.
    AmountOutOfRange => "AMOUNT_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. A currency code is not one of ISO 4217.
    CurrencyUnknown => "CURRENCY_UNKNOWN",
    /// `INVALID_ARGUMENT`. An amount is in another currency than the account, or two accounts differ in theirs.
    CurrencyMismatch => "CURRENCY_MISMATCH",
    /// `INVALID_ARGUMENT`. Entries of this kind are written by their own operations only.
    KindNotPostable => "KIND_NOT_POSTABLE",
    /// `INVALID_ARGUMENT`. A transfer names the same account twice.
    SameAccount => "SAME_ACCOUNT",
    /// `INVALID_ARGUMENT`. A tax rate is not between 0 and 100 percent.
    TaxRateOutOfRange => "TAX_RATE_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. The tax is more than the amount that contains it.
    TaxExceedsAmount => "TAX_EXCEEDS_AMOUNT",
    /// `INVALID_ARGUMENT`. The quantity of an invoice line is not above zero.
    QuantityNotPositive => "QUANTITY_NOT_POSITIVE",
    /// `INVALID_ARGUMENT`. A discount is negative or more than what it is taken from.
    DiscountOutOfRange => "DISCOUNT_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. A time zone is not one of the IANA database.
    TimeZoneUnknown => "TIME_ZONE_UNKNOWN",
    /// `INVALID_ARGUMENT`. A date is no ISO 8601 calendar date such as `2026-12-01`.
    DateMalformed => "DATE_MALFORMED",
    /// `INVALID_ARGUMENT`. A range ends before it begins, is longer than permitted, or lies where it must not.
    DateRangeInvalid => "DATE_RANGE_INVALID",
    /// `INVALID_ARGUMENT`. The time of an entry is more than 5 minutes ahead, or further back than the server
    /// permits.
    OccurredAtOutOfRange => "OCCURRED_AT_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. A balance is asked for an instant that has not come.
    AsOfInFuture => "AS_OF_IN_FUTURE",
    /// `INVALID_ARGUMENT`. The end of a hold is not in the future, or later than the server permits.
    HoldExpiryOutOfRange => "HOLD_EXPIRY_OUT_OF_RANGE",
    /// `INVALID_ARGUMENT`. The due date of an invoice is before the day of its issue.
    DueDateBeforeIssue => "DUE_DATE_BEFORE_ISSUE",
    /// `INVALID_ARGUMENT`. A batch holds nothing.
    BatchEmpty => "BATCH_EMPTY",
    /// `INVALID_ARGUMENT`. A batch holds more items than it may.
    BatchTooLarge => "BATCH_TOO_LARGE",
    /// `INVALID_ARGUMENT`. Metadata has more than 64 pairs, or more than 16 KiB.
    MetadataTooLarge => "METADATA_TOO_LARGE",
    /// `INVALID_ARGUMENT`. A list has more items than it may.
    TooManyItems => "TOO_MANY_ITEMS",
    /// `INVALID_ARGUMENT`. An update mask names a field that does not exist.
    UpdateMaskInvalid => "UPDATE_MASK_INVALID",
    /// `INVALID_ARGUMENT`. A page token was not made by this service, or for another list, filter or order.
    PageTokenInvalid => "PAGE_TOKEN_INVALID",
    /// `INVALID_ARGUMENT`. A resume token was not made by this service, or was damaged.
    ResumeTokenInvalid => "RESUME_TOKEN_INVALID",
    /// `INVALID_ARGUMENT`. A locale is no BCP 47 language tag.
    LocaleUnknown => "LOCALE_UNKNOWN",
    /// `INVALID_ARGUMENT`. An invoice has no line.
    InvoiceWithoutLines => "INVOICE_WITHOUT_LINES",
    /// `INVALID_ARGUMENT`. The pattern of an invoice series cannot give gap-free, unique numbers.
    SeriesPatternInvalid => "SERIES_PATTERN_INVALID",
    /// `INVALID_ARGUMENT`. The settings of a policy contradict each other.
    PolicyInconsistent => "POLICY_INCONSISTENT",
    /// `INVALID_ARGUMENT`. Alert settings name the same line twice.
    ThresholdDuplicate => "THRESHOLD_DUPLICATE",
    /// `INVALID_ARGUMENT`. The address of a channel is not permitted, such as one inside the server's own network.
    ChannelAddressRefused => "CHANNEL_ADDRESS_REFUSED",
    /// `UNAUTHENTICATED`. The call carries no credentials.
    CredentialsMissing => "CREDENTIALS_MISSING",
    /// `UNAUTHENTICATED`. The credentials are unknown or damaged.
    CredentialsInvalid => "CREDENTIALS_INVALID",
    /// `UNAUTHENTICATED`. The credentials were valid once, and their time is over.
    CredentialsExpired => "CREDENTIALS_EXPIRED",
    /// `UNAUTHENTICATED`. The credentials were revoked.
    CredentialsRevoked => "CREDENTIALS_REVOKED",
    /// `PERMISSION_DENIED`. The role of the caller does not permit this RPC, entry kind or field.
    PermissionDenied => "PERMISSION_DENIED",
    /// `PERMISSION_DENIED`. The credentials are valid for some accounts, and the request goes beyond them.
    ScopeTooNarrow => "SCOPE_TOO_NARROW",
    /// `NOT_FOUND`. The account does not exist.
    AccountNotFound => "ACCOUNT_NOT_FOUND",
    /// `NOT_FOUND`. The account has no entry of this sequence.
    EntryNotFound => "ENTRY_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such hold.
    HoldNotFound => "HOLD_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such invoice.
    InvoiceNotFound => "INVOICE_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such subscription.
    SubscriptionNotFound => "SUBSCRIPTION_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such promise.
    PromiseNotFound => "PROMISE_NOT_FOUND",
    /// `NOT_FOUND`. The policy does not exist.
    PolicyNotFound => "POLICY_NOT_FOUND",
    /// `NOT_FOUND`. The seller does not exist.
    SellerNotFound => "SELLER_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such alert.
    AlertNotFound => "ALERT_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such channel.
    ChannelNotFound => "CHANNEL_NOT_FOUND",
    /// `NOT_FOUND`. The account has no such delivery.
    DeliveryNotFound => "DELIVERY_NOT_FOUND",
    /// `NOT_FOUND`. The API key does not exist.
    ApiKeyNotFound => "API_KEY_NOT_FOUND",
    /// `ALREADY_EXISTS`. The identifier is taken by something with other content. The same content is a replay and no
    /// error.
    ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
    /// `FAILED_PRECONDITION`. The key was used before with other content. It is a mistake of the caller: use a new
    /// key for a new wish.
    IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
    /// `FAILED_PRECONDITION`. The personal data of the account was erased, and nothing can be done in it any more.
    AccountAnonymized => "ACCOUNT_ANONYMIZED",
    /// `FAILED_PRECONDITION`. More is asked for than is available.
    InsufficientFunds => "INSUFFICIENT_FUNDS",
    /// `FAILED_PRECONDITION`. A payout or a transfer asks for more than the own, free money; credit and bonuses do
    /// not count.
    InsufficientOwnFunds => "INSUFFICIENT_OWN_FUNDS",
    /// `FAILED_PRECONDITION`. The account is closed.
    AccountClosed => "ACCOUNT_CLOSED",
    /// `FAILED_PRECONDITION`. Access is suspended, so nothing new can be reserved.
    AccessSuspended => "ACCESS_SUSPENDED",
    /// `FAILED_PRECONDITION`. The books are closed for the day the entry belongs to.
    PeriodClosed => "PERIOD_CLOSED",
    /// `FAILED_PRECONDITION`. An entry of this kind is not reversed, or by its own operation only.
    EntryNotReversible => "ENTRY_NOT_REVERSIBLE",
    /// `FAILED_PRECONDITION`. Nothing is left to reverse of the entry.
    AlreadyReversed => "ALREADY_REVERSED",
    /// `FAILED_PRECONDITION`. More is to be reversed than is left of the entry.
    ReversalExceedsRest => "REVERSAL_EXCEEDS_REST",
    /// `FAILED_PRECONDITION`. The hold was captured and is closed.
    HoldAlreadyCaptured => "HOLD_ALREADY_CAPTURED",
    /// `FAILED_PRECONDITION`. The hold was released.
    HoldAlreadyReleased => "HOLD_ALREADY_RELEASED",
    /// `FAILED_PRECONDITION`. The time of the hold is over.
    HoldExpired => "HOLD_EXPIRED",
    /// `FAILED_PRECONDITION`. More is to be captured than is left of the hold, or its new amount is not above what
    /// was captured.
    CaptureExceedsHold => "CAPTURE_EXCEEDS_HOLD",
    /// `FAILED_PRECONDITION`. More is to be written off than is owed.
    WriteOffExceedsDebt => "WRITE_OFF_EXCEEDS_DEBT",
    /// `FAILED_PRECONDITION`. Something stands against closing the account. `PreconditionFailure` lists all obstacles
    /// by the five reasons that follow.
    AccountNotClosable => "ACCOUNT_NOT_CLOSABLE",
    /// `FAILED_PRECONDITION`. The balance is not zero. An obstacle listed by `ACCOUNT_NOT_CLOSABLE`.
    BalanceNotZero => "BALANCE_NOT_ZERO",
    /// `FAILED_PRECONDITION`. Holds are open. An obstacle listed by `ACCOUNT_NOT_CLOSABLE`.
    HoldsOpen => "HOLDS_OPEN",
    /// `FAILED_PRECONDITION`. Invoices are open. An obstacle listed by `ACCOUNT_NOT_CLOSABLE`.
    InvoicesOpen => "INVOICES_OPEN",
    /// `FAILED_PRECONDITION`. Subscriptions are active. An obstacle listed by `ACCOUNT_NOT_CLOSABLE`.
    SubscriptionsActive => "SUBSCRIPTIONS_ACTIVE",
    /// `FAILED_PRECONDITION`. A promised payment is open. An obstacle listed by `ACCOUNT_NOT_CLOSABLE`.
    PromiseOpen => "PROMISE_OPEN",
    /// `FAILED_PRECONDITION`. What is asked for can be done to a closed account only.
    AccountNotClosed => "ACCOUNT_NOT_CLOSED",
    /// `FAILED_PRECONDITION`. The new credit limit is below what is used of it, and `allow_below_use` is not set.
    LimitBelowUse => "LIMIT_BELOW_USE",
    /// `FAILED_PRECONDITION`. The policy cannot be deleted while accounts are under it.
    PolicyInUse => "POLICY_IN_USE",
    /// `FAILED_PRECONDITION`. The invoice is issued, so it cannot be changed.
    InvoiceNotDraft => "INVOICE_NOT_DRAFT",
    /// `FAILED_PRECONDITION`. What is asked for can be done to an issued invoice only.
    InvoiceNotIssued => "INVOICE_NOT_ISSUED",
    /// `FAILED_PRECONDITION`. The invoice has payments, so it is corrected by a credit note and not voided.
    InvoiceHasPayments => "INVOICE_HAS_PAYMENTS",
    /// `FAILED_PRECONDITION`. The invoice is void or uncollectible, and nothing changes in it any more.
    InvoiceFinal => "INVOICE_FINAL",
    /// `FAILED_PRECONDITION`. More is to be credited than the total less earlier credit notes.
    CreditExceedsInvoice => "CREDIT_EXCEEDS_INVOICE",
    /// `FAILED_PRECONDITION`. An entry is on another invoice already.
    EntryAlreadyBilled => "ENTRY_ALREADY_BILLED",
    /// `FAILED_PRECONDITION`. There is no unbilled entry to put on the invoice.
    NothingToBill => "NOTHING_TO_BILL",
    /// `FAILED_PRECONDITION`. A due date can only be moved to a later day.
    DueDateNotLater => "DUE_DATE_NOT_LATER",
    /// `FAILED_PRECONDITION`. The seller lacks settings that an invoice needs.
    SellerNotConfigured => "SELLER_NOT_CONFIGURED",
    /// `FAILED_PRECONDITION`. The account lacks billing details that an invoice needs.
    BuyerDetailsMissing => "BUYER_DETAILS_MISSING",
    /// `FAILED_PRECONDITION`. The subscription is not in a state in which this can be done.
    SubscriptionState => "SUBSCRIPTION_STATE",
    /// `FAILED_PRECONDITION`. A change of a subscription would take effect in a period that is charged already.
    SubscriptionChangeInPast => "SUBSCRIPTION_CHANGE_IN_PAST",
    /// `FAILED_PRECONDITION`. Access is suspended for this reason already.
    AlreadySuspended => "ALREADY_SUSPENDED",
    /// `FAILED_PRECONDITION`. Access is not suspended.
    NotSuspended => "NOT_SUSPENDED",
    /// `FAILED_PRECONDITION`. The policy of the account offers no promised payment.
    PromiseNotOffered => "PROMISE_NOT_OFFERED",
    /// `FAILED_PRECONDITION`. There is no debt and no amount to pay that a promise could cover.
    PromiseNotNeeded => "PROMISE_NOT_NEEDED",
    /// `FAILED_PRECONDITION`. The amount is above what the policy permits.
    PromiseAmountTooHigh => "PROMISE_AMOUNT_TOO_HIGH",
    /// `FAILED_PRECONDITION`. The date is later than the policy permits.
    PromiseTooLong => "PROMISE_TOO_LONG",
    /// `FAILED_PRECONDITION`. A promised payment is open already.
    PromiseAlreadyOpen => "PROMISE_ALREADY_OPEN",
    /// `FAILED_PRECONDITION`. The last promise was too short a time ago.
    PromiseCooldown => "PROMISE_COOLDOWN",
    /// `FAILED_PRECONDITION`. A promise was broken: an operator or a full payment must unlock promises first.
    PromiseLocked => "PROMISE_LOCKED",
    /// `FAILED_PRECONDITION`. The policy does not take reports of payments.
    ClaimNotAllowed => "CLAIM_NOT_ALLOWED",
    /// `FAILED_PRECONDITION`. A payment was reported for this debt already.
    ClaimAlreadyMade => "CLAIM_ALREADY_MADE",
    /// `FAILED_PRECONDITION`. The alert is resolved, so it cannot be acknowledged.
    AlertResolved => "ALERT_RESOLVED",
    /// `FAILED_PRECONDITION`. The channel is disabled, so nothing is sent through it.
    ChannelDisabled => "CHANNEL_DISABLED",
    /// `FAILED_PRECONDITION`. The journal is not the one the token was made on, such as after a restored backup.
    /// Begin anew, with a snapshot.
    ResumeTokenDiverged => "RESUME_TOKEN_DIVERGED",
    /// `FAILED_PRECONDITION`. The clock of the sandbox can only be moved forward.
    ClockOnlyForward => "CLOCK_ONLY_FORWARD",
    /// `ABORTED`. The thing was changed since the version named. Read it again, decide again.
    EtagMismatch => "ETAG_MISMATCH",
    /// `ABORTED`. The account has another last entry than the one expected. Read it again, decide again.
    SequenceMismatch => "SEQUENCE_MISMATCH",
    /// `ABORTED`. Another operation of the same atomic batch was refused.
    LinkedItemFailed => "LINKED_ITEM_FAILED",
    /// `ABORTED`. Other writers were faster too many times. Repeat the call with the same key.
    Contention => "CONTENTION",
    /// `OUT_OF_RANGE`. An amount of the account would go beyond the range of money.
    BalanceOverflow => "BALANCE_OVERFLOW",
    /// `OUT_OF_RANGE`. The token is older than what is kept.
    ResumeTokenExpired => "RESUME_TOKEN_EXPIRED",
    /// `OUT_OF_RANGE`. `min_position` names a position that the journal cannot have reached.
    PositionAhead => "POSITION_AHEAD",
    /// `RESOURCE_EXHAUSTED`. The server has more work than it can do in time. `RetryInfo` says when to try again.
    Overloaded => "OVERLOADED",
    /// `RESOURCE_EXHAUSTED`. The credentials have called too often. `RetryInfo` says when to try again.
    RateLimited => "RATE_LIMITED",
    /// `RESOURCE_EXHAUSTED`. A quota is used up; `QuotaFailure` names it.
    QuotaExceeded => "QUOTA_EXCEEDED",
    /// `RESOURCE_EXHAUSTED`. The caller has as many streams open as he may.
    TooManyStreams => "TOO_MANY_STREAMS",
    /// `RESOURCE_EXHAUSTED`. The message has more bytes than it may: 1 MiB, or 4 MiB for a batch.
    MessageTooLarge => "MESSAGE_TOO_LARGE",
    /// `RESOURCE_EXHAUSTED`. The database has no room. Reads go on.
    StorageFull => "STORAGE_FULL",
    /// `RESOURCE_EXHAUSTED`. The reader of a stream was too slow for too long. Nothing is lost: resume with the
    /// token.
    SlowSubscriber => "SLOW_SUBSCRIBER",
    /// `DEADLINE_EXCEEDED`. The deadline passed. When the work had begun, its outcome is unknown: repeat the call
    /// with the same key.
    DeadlineExceeded => "DEADLINE_EXCEEDED",
    /// `UNAVAILABLE`. The link to the database broke at the commit, so the change may be made or not. Repeat the call
    /// with the same key.
    CommitOutcomeUnknown => "COMMIT_OUTCOME_UNKNOWN",
    /// `UNAVAILABLE`. The database cannot be reached. Nothing was changed.
    StorageUnavailable => "STORAGE_UNAVAILABLE",
    /// `UNAVAILABLE`. The server is stopping. Call again, or resume the stream; another instance answers.
    ShuttingDown => "SHUTTING_DOWN",
    /// `UNAVAILABLE`. The stream has reached its greatest age. Open it again at once.
    StreamAgeReached => "STREAM_AGE_REACHED",
    /// `UNAVAILABLE`. The server takes no mutations at present. Reads go on.
    ReadOnly => "READ_ONLY",
    /// `UNAVAILABLE`. The instance has not seen `min_position` within the time it waits. Try again.
    PositionNotReached => "POSITION_NOT_REACHED",
    /// `UNAVAILABLE`. The clock of the server differs too much from that of the database, so it takes no mutations.
    ClockSkew => "CLOCK_SKEW",
    /// `UNIMPLEMENTED`. The server was not started as a sandbox.
    SandboxDisabled => "SANDBOX_DISABLED",
    /// `UNIMPLEMENTED`. The server was built without this feature.
    FeatureNotBuilt => "FEATURE_NOT_BUILT",
    /// `INTERNAL`. Something failed inside. The log of the server has the cause under the id.
    Internal => "INTERNAL",
    /// `DATA_LOSS`. A row of the journal contradicts the rules of the ledger. It needs an operator.
    LedgerCorrupt => "LEDGER_CORRUPT",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => f.write_str("(no reason)"),
            name => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use billing_proto::v1;

    use super::Reason;

    #[test]
    fn every_reason_of_the_contract_is_known() {
        let mut count = 0;
        for value in (1..10_000).filter_map(|number| v1::ErrorReason::try_from(number).ok()) {
            let name = value.as_str_name().trim_start_matches("ERROR_REASON_");
            let reason = Reason::from(name);
            assert!(!matches!(reason, Reason::Unknown(_)), "{name} is missing in reason.rs");
            assert_eq!(reason.name(), name);
            count += 1;
        }
        assert_eq!(count, Reason::KNOWN.len());
    }

    #[test]
    fn a_reason_of_a_later_version_is_kept() {
        assert_eq!(Reason::from("MOON_IN_THE_SEVENTH_HOUSE").to_string(), "MOON_IN_THE_SEVENTH_HOUSE");
        assert_eq!(Reason::from("").to_string(), "(no reason)");
    }
}
