//! Every reason of the contract is provoked over gRPC, or named with what will bring it. Whatever is `refused` is held to
//! what `errors.proto` promises: code, domain, metadata, details.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::ErrorReason::{self, *};
use billing_proto::v1::get_balance_request::AsOf;
use billing_proto::v1::subscribe_request::Start;
use billing_proto::v1::{EntryKind, ReversalCause};
use billing_server::server::Settings;
use prost::bytes::{Buf, BufMut};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

use crate::harness::clock::{at, days, hours};
use crate::harness::contract;
use crate::harness::ledger::figures;
use crate::harness::refusal::{Refusal, refused};
use crate::harness::requests::{
    IntoOperation, account, anonymize, atomic, balance, capture, capture_part, charge, covered_charge, entries, hold,
    independent, key, limit, money, money_in, payment, payout, post, release, reopen, reversal, subscription, tax,
    transfer, update, write_off,
};
use crate::harness::service::answer;
use crate::harness::{
    Backend, ManualClock, Refused as _, RefusedItem as _, Service, TestDatabase, block_on, on_both, on_both_databases,
};

/// Who shows that a reason is given.
enum Proof {
    /// `what_a_request_can_do_wrong_has_its_reason` below.
    Request,
    /// Another test: its module and its name.
    Test(&'static str, &'static str),
    /// Nobody yet: what will give it.
    Later(&'static str),
}

use Proof::{Later, Request as ByRequest, Test};

/// Every reason, in the order of the contract. A new one without a line here fails `every_reason_has_its_proof`.
const PROOFS: &[(ErrorReason, Proof)] = &[
    (FieldRequired, ByRequest),
    (FieldMalformed, ByRequest),
    (FieldTooLong, ByRequest),
    (FieldOutOfRange, ByRequest),
    (FieldConflict, ByRequest),
    (FieldNotAllowed, ByRequest),
    (FieldImmutable, ByRequest),
    (EnumValueUnknown, ByRequest),
    (IdMalformed, ByRequest),
    (IdempotencyKeyMalformed, ByRequest),
    (TextNotUtf8, ByRequest),
    (MessageMalformed, Test("reasons", "bytes_that_are_no_message_are_refused")),
    (AmountMalformed, ByRequest),
    (AmountNotPositive, ByRequest),
    (AmountTooPrecise, ByRequest),
    (AmountOutOfRange, ByRequest),
    (CurrencyUnknown, ByRequest),
    (CurrencyMismatch, ByRequest),
    (KindNotPostable, ByRequest),
    (SameAccount, ByRequest),
    (TaxRateOutOfRange, ByRequest),
    (TaxExceedsAmount, ByRequest),
    (QuantityNotPositive, Later("invoicing")),
    (DiscountOutOfRange, Later("invoicing")),
    (TimeZoneUnknown, ByRequest),
    (DateMalformed, ByRequest),
    (DateRangeInvalid, ByRequest),
    (OccurredAtOutOfRange, ByRequest),
    (AsOfInFuture, ByRequest),
    (HoldExpiryOutOfRange, ByRequest),
    (DueDateBeforeIssue, Later("invoicing")),
    (BatchEmpty, ByRequest),
    (BatchTooLarge, ByRequest),
    (MetadataTooLarge, ByRequest),
    (TooManyItems, ByRequest),
    (UpdateMaskInvalid, ByRequest),
    (PageTokenInvalid, ByRequest),
    (ResumeTokenInvalid, ByRequest),
    (LocaleUnknown, ByRequest),
    (InvoiceWithoutLines, Later("invoicing")),
    (SeriesPatternInvalid, Later("invoicing")),
    (PolicyInconsistent, Later("access policies")),
    (ThresholdDuplicate, Later("alerts")),
    (ChannelAddressRefused, Later("alerts")),
    (CredentialsMissing, Test("auth", "calls_without_the_key_are_refused")),
    (CredentialsInvalid, Test("auth", "calls_with_another_key_are_refused")),
    (CredentialsExpired, Later("API keys and tokens")),
    (CredentialsRevoked, Later("API keys and tokens")),
    (PermissionDenied, Later("API keys and tokens: the one static key may do everything")),
    (ScopeTooNarrow, Later("API keys and tokens")),
    (AccountNotFound, ByRequest),
    (EntryNotFound, ByRequest),
    (HoldNotFound, ByRequest),
    (InvoiceNotFound, Later("invoicing")),
    (SubscriptionNotFound, Later("subscriptions")),
    (PromiseNotFound, Later("promised payments")),
    (PolicyNotFound, Later("access policies")),
    (SellerNotFound, Later("invoicing")),
    (AlertNotFound, Later("alerts")),
    (ChannelNotFound, Later("alerts")),
    (DeliveryNotFound, Later("alerts")),
    (ApiKeyNotFound, Later("API keys and tokens")),
    (ResourceAlreadyExists, ByRequest),
    (IdempotencyKeyReused, ByRequest),
    (AccountAnonymized, ByRequest),
    (InsufficientFunds, ByRequest),
    (InsufficientOwnFunds, ByRequest),
    (AccountClosed, ByRequest),
    (AccessSuspended, Later("access policies")),
    (PeriodClosed, ByRequest),
    (EntryNotReversible, ByRequest),
    (AlreadyReversed, ByRequest),
    (ReversalExceedsRest, ByRequest),
    (HoldAlreadyCaptured, ByRequest),
    (HoldAlreadyReleased, ByRequest),
    (HoldExpired, ByRequest),
    (CaptureExceedsHold, ByRequest),
    (WriteOffExceedsDebt, ByRequest),
    (AccountNotClosable, ByRequest),
    // Obstacles that ACCOUNT_NOT_CLOSABLE lists.
    (BalanceNotZero, ByRequest),
    (HoldsOpen, ByRequest),
    (InvoicesOpen, Later("invoicing")),
    (SubscriptionsActive, Later("subscriptions")),
    (PromiseOpen, Later("promised payments")),
    (AccountNotClosed, ByRequest),
    (LimitBelowUse, ByRequest),
    (PolicyInUse, Later("access policies")),
    (InvoiceNotDraft, Later("invoicing")),
    (InvoiceNotIssued, Later("invoicing")),
    (InvoiceHasPayments, Later("invoicing")),
    (InvoiceFinal, Later("invoicing")),
    (CreditExceedsInvoice, Later("invoicing")),
    (EntryAlreadyBilled, Later("invoicing")),
    (NothingToBill, Later("invoicing")),
    (DueDateNotLater, Later("invoicing")),
    (SellerNotConfigured, Later("invoicing")),
    (BuyerDetailsMissing, Later("invoicing")),
    (SubscriptionState, Later("subscriptions")),
    (SubscriptionChangeInPast, Later("subscriptions")),
    (AlreadySuspended, Later("access policies")),
    (NotSuspended, Later("access policies")),
    (PromiseNotOffered, Later("promised payments")),
    (PromiseNotNeeded, Later("promised payments")),
    (PromiseAmountTooHigh, Later("promised payments")),
    (PromiseTooLong, Later("promised payments")),
    (PromiseAlreadyOpen, Later("promised payments")),
    (PromiseCooldown, Later("promised payments")),
    (PromiseLocked, Later("promised payments")),
    (ClaimNotAllowed, Later("access policies")),
    (ClaimAlreadyMade, Later("access policies")),
    (AlertResolved, Later("alerts")),
    (ChannelDisabled, Later("alerts")),
    (ResumeTokenDiverged, Test("events", "a_token_of_another_ledger_is_refused")),
    (ClockOnlyForward, Later("the sandbox")),
    (EtagMismatch, ByRequest),
    (SequenceMismatch, ByRequest),
    (LinkedItemFailed, ByRequest),
    (Contention, Test("reasons", "a_database_that_never_takes_a_change_is_told")),
    (BalanceOverflow, ByRequest),
    (ResumeTokenExpired, Later("a server that forgets journal rows: this one keeps them for ever")),
    (PositionAhead, ByRequest),
    (Overloaded, Test("reasons", "more_work_than_can_be_done_in_time_is_refused")),
    (RateLimited, Later("API keys and tokens")),
    (QuotaExceeded, Test("reasons", "an_account_has_room_for_so_many_holds")),
    (TooManyStreams, Test("events", "streams_are_limited")),
    (MessageTooLarge, Test("reasons", "a_message_that_is_too_large_is_refused")),
    (StorageFull, Test("reasons", "a_full_disk_stops_writes_and_nothing_else")),
    (SlowSubscriber, Test("reasons", "a_reader_that_reads_nothing_is_cut_and_loses_nothing")),
    (DeadlineExceeded, Test("reasons", "a_deadline_that_passes_says_whether_work_had_begun")),
    (CommitOutcomeUnknown, Test("reasons", "a_link_that_breaks_at_the_commit_leaves_the_outcome_unknown")),
    (StorageUnavailable, Test("reasons", "a_link_that_breaks_at_the_commit_leaves_the_outcome_unknown")),
    (ShuttingDown, Test("shutdown", "open_streams_end_with_their_token")),
    (StreamAgeReached, Test("events", "a_stream_ends_at_its_age_and_goes_on_from_its_token")),
    (ReadOnly, Test("reasons", "a_server_whose_partition_was_taken_over_writes_no_more")),
    (PositionNotReached, Test("reasons", "a_position_that_is_not_seen_in_time_is_told")),
    (ClockSkew, Test("reasons", "a_server_whose_clock_is_off_takes_no_mutations")),
    (SandboxDisabled, Later("the sandbox")),
    (FeatureNotBuilt, Later("features that a build leaves out")),
    (Internal, Test("reasons", "a_fault_inside_tells_its_id_and_nothing_else")),
    (LedgerCorrupt, Later("reads that stop at a corrupt row: VerifyLedger lists them, and reads answer INTERNAL")),
];

on_both![
    what_a_request_can_do_wrong_has_its_reason,
    bytes_that_are_no_message_are_refused,
    a_message_that_is_too_large_is_refused,
    an_account_has_room_for_so_many_holds,
];

on_both_databases![
    a_deadline_that_passes_says_whether_work_had_begun,
    more_work_than_can_be_done_in_time_is_refused,
    a_reader_that_reads_nothing_is_cut_and_loses_nothing,
    a_server_whose_partition_was_taken_over_writes_no_more,
    a_fault_inside_tells_its_id_and_nothing_else,
];

#[test]
fn every_reason_has_its_proof() {
    let sources = BTreeMap::from([
        ("reasons", include_str!("reasons.rs")),
        ("events", include_str!("events.rs")),
        ("auth", include_str!("auth.rs")),
        ("shutdown", include_str!("shutdown.rs")),
    ]);
    let listed: Vec<ErrorReason> = PROOFS.iter().map(|(reason, _)| *reason).collect();
    let unique: BTreeSet<&str> = listed.iter().map(|reason| contract::name(*reason)).collect();
    assert_eq!(unique.len(), listed.len(), "each reason stands there once");
    let missing: Vec<_> = contract::reasons().map(contract::name).filter(|name| !unique.contains(name)).collect();
    assert!(missing.is_empty(), "no test provokes these reasons, and nothing says what will: {missing:?}");
    for (reason, proof) in PROOFS {
        match proof {
            ByRequest => {}
            Test(module, test) => {
                let source = sources[module];
                assert!(source.contains(&format!("fn {test}(")), "{module}::{test} is to provoke {reason:?}");
                assert!(source.contains(&format!("{reason:?})")), "{module} never expects {reason:?}");
            }
            Later(brings) => assert!(!brings.is_empty(), "{reason:?}"),
        }
    }
}

/// Subjects of which the rules are written, with the file of the service that will let a caller come to them.
const RULES_ALONE: [(&str, &str); 4] = [
    ("invoicing", "invoicing.proto"),
    ("subscriptions", "invoicing.proto"),
    ("access policies", "access.proto"),
    ("promised payments", "access.proto"),
];

#[test]
fn every_reason_the_server_can_give_is_provoked() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/billing/v1");
    let is_out_of_reach =
        |subject: &str| RULES_ALONE.iter().any(|(rules, file)| *rules == subject && !services.join(file).exists());
    let later: BTreeSet<&str> = PROOFS
        .iter()
        .filter(|(_, proof)| matches!(proof, Later(brings) if !is_out_of_reach(brings)))
        .map(|(reason, _)| contract::name(*reason))
        .collect();
    let given: BTreeSet<&str> =
        billing_server::domain::reason::Reason::ALL.iter().map(|reason| reason.name()).collect();
    // Reasons that the server's table holds although nothing gives them yet.
    let not_given = BTreeSet::from(["LEDGER_CORRUPT", "PERMISSION_DENIED", "RESUME_TOKEN_EXPIRED"]);
    let unproven: Vec<_> = given.intersection(&later).filter(|name| !not_given.contains(*name)).collect();
    assert!(unproven.is_empty(), "these reasons are given now, so a test must provoke them: {unproven:?}");
}

/// What was provoked so far.
#[derive(Default)]
struct Provoked {
    reasons: BTreeSet<&'static str>,
}

impl Provoked {
    #[track_caller]
    fn by<T: Debug>(&mut self, reason: ErrorReason, answer: Result<T, Status>) -> Refusal {
        self.reasons.insert(contract::name(reason));
        answer.refused(reason)
    }

    /// An obstacle that another refusal lists.
    fn listed(&mut self, reason: ErrorReason, refusal: &Refusal) {
        let failure = refusal.details.precondition_failure().unwrap();
        let name = contract::name(reason);
        assert!(failure.violations.iter().any(|one| one.r#type == name), "{failure:?}");
        self.reasons.insert(name);
    }
}

async fn what_a_request_can_do_wrong_has_its_reason(service: &Service) {
    let mut provoked = Provoked::default();
    service.open_with("acme-1", "100").await; // 2
    service.open("acme-2").await;
    shapes(service, &mut provoked).await;
    moneys_and_times(service, &mut provoked).await;
    lists_and_tokens(service, &mut provoked).await;
    things_that_are_not_there(service, &mut provoked).await;
    guards_and_funds(service, &mut provoked).await;
    holds_and_reversals(service, &mut provoked).await;
    accounts_that_end(service, &mut provoked).await;
    let expected: BTreeSet<&str> = PROOFS
        .iter()
        .filter(|(_, proof)| matches!(proof, ByRequest))
        .map(|(reason, _)| contract::name(*reason))
        .collect();
    assert_eq!(provoked.reasons, expected);
}

async fn shapes(service: &Service, provoked: &mut Provoked) {
    let paid = || payment("acme-1", "1");
    provoked.by(FieldRequired, service.post(v1::PostRequest::default()).await);
    provoked.by(FieldMalformed, service.post(v1::PostRequest { category: "É".to_owned(), ..paid() }).await);
    provoked.by(FieldTooLong, service.post(v1::PostRequest { reference: "x".repeat(201), ..paid() }).await);
    provoked.by(
        FieldNotAllowed,
        service.post(v1::PostRequest { invoice_id: "i".to_owned(), ..charge("acme-1", "1") }).await,
    );
    provoked.by(EnumValueUnknown, service.post(v1::PostRequest { kind: 99, ..paid() }).await);
    provoked.by(IdMalformed, service.post(payment("a b", "1")).await);
    let spaced = v1::PostRequest { idempotency_key: "a b".to_owned(), ..paid() };
    provoked.by(IdempotencyKeyMalformed, service.post(spaced).await);
    provoked.by(TextNotUtf8, service.post(v1::PostRequest { description: "\0".to_owned(), ..paid() }).await);
    let pairs = (0..65).map(|n| (n.to_string(), String::new())).collect();
    provoked.by(MetadataTooLarge, service.post(v1::PostRequest { metadata: pairs, ..paid() }).await);
    provoked.by(FieldImmutable, service.update(update("acme-1", &["customer_id"], v1::Account::default())).await);
    provoked.by(UpdateMaskInvalid, service.update(update("acme-1", &["colour"], v1::Account::default())).await);
    let conflict = v1::SubscribeRequest { all_accounts: true, ..subscription(&["acme-1"]) };
    provoked.by(FieldConflict, service.subscribe(conflict).await);
    provoked.by(BatchEmpty, service.batch(atomic(Vec::new())).await);
    let many = (0..1001).map(|_| paid().into_operation()).collect();
    provoked.by(BatchTooLarge, service.batch(atomic(many)).await);
}

async fn moneys_and_times(service: &Service, provoked: &mut Provoked) {
    for (value, reason) in [
        ("x", AmountMalformed),
        ("0", AmountNotPositive),
        ("0.0000001", AmountTooPrecise),
        ("9000000000001", AmountOutOfRange),
    ] {
        provoked.by(reason, service.post(payment("acme-1", value)).await);
    }
    let in_currency = |code: &str| v1::PostRequest { amount: money_in("1", code), ..payment("acme-1", "") };
    provoked.by(CurrencyUnknown, service.post(in_currency("ABC")).await);
    provoked.by(CurrencyMismatch, service.post(in_currency("EUR")).await);
    provoked.by(KindNotPostable, service.post(post(EntryKind::Invoice, "acme-1", "1")).await);
    provoked.by(SameAccount, service.transfer(transfer("acme-1", "acme-1", "1")).await);
    let taxed = |rate: &str, value: &str| v1::PostRequest { tax: tax("vat", rate, value), ..charge("acme-1", "1") };
    provoked.by(TaxRateOutOfRange, service.post(taxed("101", "0.1")).await);
    provoked.by(TaxExceedsAmount, service.post(taxed("20", "1.01")).await);
    let zone = v1::CreateAccountRequest { time_zone: "Mars/Base".to_owned(), ..account("acme-9") };
    provoked.by(TimeZoneUnknown, service.create(zone).await);
    let locale = v1::CreateAccountRequest { locale: "not a tag".to_owned(), ..account("acme-9") };
    provoked.by(LocaleUnknown, service.create(locale).await);
    provoked.by(DateMalformed, service.close_books("tomorrow").await);
    provoked.by(DateRangeInvalid, service.close_books("2026-03-10").await);
    let late = v1::PostRequest { occurred_at: Some(service.clock.after(hours(1))), ..payment("acme-1", "1") };
    provoked.by(OccurredAtOutOfRange, service.post(late).await);
    let future = AsOf::AsOfRecorded(service.clock.after(hours(1)));
    provoked.by(
        AsOfInFuture,
        service.read_balance(v1::GetBalanceRequest { as_of: Some(future), ..balance("acme-1") }).await,
    );
    let past = v1::place_hold_request::Expiry::ExpiresAt(service.clock.timestamp());
    let ended = v1::PlaceHoldRequest { expiry: Some(past), ..hold("acme-1", "h", "1") };
    provoked.by(HoldExpiryOutOfRange, service.hold(ended).await);
}

async fn lists_and_tokens(service: &Service, provoked: &mut Provoked) {
    provoked
        .by(FieldOutOfRange, service.entries(v1::ListEntriesRequest { page_size: 1001, ..entries("acme-1") }).await);
    let forged = v1::ListEntriesRequest { page_token: "x".to_owned(), ..entries("acme-1") };
    provoked.by(PageTokenInvalid, service.entries(forged).await);
    let categories = (0..101).map(|n| format!("c{n}")).collect();
    let filter = Some(v1::EntryFilter { categories, ..v1::EntryFilter::default() });
    provoked.by(TooManyItems, service.entries(v1::ListEntriesRequest { filter, ..entries("acme-1") }).await);
    let start = Some(Start::ResumeToken("x".to_owned()));
    provoked
        .by(ResumeTokenInvalid, service.subscribe(v1::SubscribeRequest { start, ..subscription(&["acme-1"]) }).await);
    let ahead = v1::JournalPosition { partition: 0, position: i64::MAX };
    let request = v1::GetBalanceRequest { min_position: Some(ahead), ..balance("acme-1") };
    provoked.by(PositionAhead, service.read_balance(request).await);
}

async fn things_that_are_not_there(service: &Service, provoked: &mut Provoked) {
    provoked.by(AccountNotFound, service.post(payment("nobody", "1")).await);
    provoked.by(EntryNotFound, service.entry("acme-1", 1).await);
    provoked.by(HoldNotFound, service.read_hold("acme-1", "none").await);
    let other = v1::CreateAccountRequest { currency_code: "EUR".to_owned(), ..account("acme-1") };
    provoked.by(ResourceAlreadyExists, service.create(other).await);
    let keyed = |value: &str| v1::PostRequest { idempotency_key: "used".to_owned(), ..payment("acme-2", value) };
    service.post(keyed("1")).await.unwrap();
    provoked.by(IdempotencyKeyReused, service.post(keyed("2")).await);
}

async fn guards_and_funds(service: &Service, provoked: &mut Provoked) {
    provoked.by(
        EtagMismatch,
        service.update(v1::UpdateAccountRequest { etag: "v9".to_owned(), ..limit("acme-1", "1") }).await,
    );
    let guarded = v1::PostRequest { expected_sequence: Some(9), ..payment("acme-1", "1") };
    provoked.by(SequenceMismatch, service.post(guarded).await);
    provoked.by(InsufficientFunds, service.post(covered_charge("acme-1", "100.01")).await);
    provoked.by(InsufficientOwnFunds, service.post(payout("acme-1", "100.01")).await);
    provoked.by(WriteOffExceedsDebt, service.post(write_off("acme-1", "1")).await);
    provoked.by(BalanceOverflow, service.post(payment("acme-1", "8999999999901")).await);
    let batch = atomic(vec![payment("acme-1", "1").into_operation(), covered_charge("acme-1", "102").into_operation()]);
    let answer = service.batch(batch).await.unwrap();
    answer.results[0].refused_item(LinkedItemFailed);
    provoked.reasons.insert(contract::name(LinkedItemFailed));
    service.open("debtor").await;
    service.update(limit("debtor", "10")).await.unwrap();
    service.post(charge("debtor", "10")).await.unwrap();
    provoked.by(LimitBelowUse, service.update(limit("debtor", "9")).await);
}

async fn holds_and_reversals(service: &Service, provoked: &mut Provoked) {
    for id in ["captured", "released", "expired", "part"] {
        service.hold(hold("acme-1", id, "10")).await.unwrap();
    }
    service.capture(capture("acme-1", "captured")).await.unwrap();
    provoked.by(HoldAlreadyCaptured, service.capture(capture("acme-1", "captured")).await);
    service.release(release("acme-1", "released")).await.unwrap();
    provoked.by(HoldAlreadyReleased, service.release(release("acme-1", "released")).await);
    provoked.by(CaptureExceedsHold, service.capture(capture_part("acme-1", "part", "11", false)).await);
    service.clock.advance(hours(2));
    provoked.by(HoldExpired, service.capture(capture("acme-1", "expired")).await);

    let more = v1::ReverseEntryRequest { amount: money("101"), ..reversal("acme-1", 2) };
    provoked.by(ReversalExceedsRest, service.reverse(more).await);
    let cause = ReversalCause::Duplicate.into();
    let entry =
        service.reverse(v1::ReverseEntryRequest { cause, ..reversal("acme-1", 2) }).await.unwrap().entry.unwrap();
    provoked.by(AlreadyReversed, service.reverse(reversal("acme-1", 2)).await);
    provoked.by(EntryNotReversible, service.reverse(reversal("acme-1", entry.sequence)).await);

    service.clock.advance(days(5));
    service.close_books("2026-03-12").await.unwrap();
    let late = v1::PostRequest { occurred_at: Some(at("2026-03-12T12:00:00Z")), ..payment("acme-1", "1") };
    provoked.by(PeriodClosed, service.post(late).await);
}

async fn accounts_that_end(service: &Service, provoked: &mut Provoked) {
    service.open_with("ending", "1").await;
    service.hold(hold("ending", "h", "1")).await.unwrap();
    let refusal = provoked.by(AccountNotClosable, service.close("ending").await);
    provoked.listed(BalanceNotZero, &refusal);
    provoked.listed(HoldsOpen, &refusal);
    service.capture(capture("ending", "h")).await.unwrap();
    provoked.by(AccountNotClosed, answer(service.accounts().reopen_account(reopen("ending")).await));
    service.close("ending").await.unwrap();
    provoked.by(AccountClosed, service.post(payment("ending", "1")).await);
    answer(service.accounts().anonymize_account(anonymize("ending")).await).unwrap();
    provoked.by(AccountAnonymized, service.post(payment("ending", "1")).await);
}

/// Sends bytes as they are and takes any answer.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

async fn send(service: &Service, path: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(service.channel());
    grpc.ready().await.unwrap();
    answer(grpc.unary(Request::new(bytes), PathAndQuery::from_static(path), Raw).await)
}

async fn bytes_that_are_no_message_are_refused(service: &Service) {
    service.open("acme-1").await;
    for path in [
        "/billing.v1.LedgerService/Post",
        "/billing.v1.AccountService/CreateAccount",
        "/billing.v1.BalanceService/GetBalance",
    ] {
        // A field that is cut off, a varint without an end, a wire type that does not exist, a huge length.
        for bytes in [vec![0x0a, 0x05, b'a'], vec![0xff; 12], vec![0x0f], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x07]] {
            send(service, path, bytes).await.refused(MessageMalformed);
        }
        let refusal = send(service, path, vec![0x0a, 0x02, 0xc3, 0x28]).await.refused(TextNotUtf8);
        assert!(refusal.field().ends_with("account_id"), "{refusal:?}");
    }
    let mut open = v1::PostRequest { account_id: "acme-1".to_owned(), ..payment("acme-1", "1") };
    open.metadata.insert("k".to_owned(), "v".to_owned());
    let mut bytes = prost::Message::encode_to_vec(&open);
    // A field of a later version is passed over.
    bytes.extend([0xfa, 0x7f, 0x01, 0x00]);
    send(service, "/billing.v1.LedgerService/Post", bytes).await.unwrap();
}

async fn a_message_that_is_too_large_is_refused(service: &Service) {
    service.open("acme-1").await;
    let text = "x".repeat(1 << 20);
    let large = v1::CreateAccountRequest { display_name: text.clone(), ..account("acme-2") };
    assert_eq!(service.create(large).await.refused(MessageTooLarge).detail("max_bytes"), "1048576");
    let long = v1::PostRequest { description: text, ..payment("acme-1", "1") };
    let batch = independent((0..5).map(|_| long.clone().into_operation()).collect());
    assert_eq!(service.batch(batch).await.refused(MessageTooLarge).detail("max_bytes"), "4194304");
    service.post(payment("acme-1", "1")).await.expect("the connection goes on");
}

async fn an_account_has_room_for_so_many_holds(service: &Service) {
    service.open_with("acme-1", "100000").await;
    for _ in 0..10 {
        let holds = (0..1000).map(|_| hold("acme-1", "", "1").into_operation()).collect();
        service.batch(atomic(holds)).await.unwrap();
    }
    let refusal = service.hold(hold("acme-1", "", "1")).await.refused(QuotaExceeded);
    assert_eq!((refusal.detail("quota"), refusal.detail("limit")), ("open_holds", "10000"));
    assert!(refusal.details.quota_failure().is_some());
    assert_eq!(figures(&service.balance("acme-1").await), ["100000.00", "10000.00", "90000.00"]);
}

fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

async fn a_deadline_that_passes_says_whether_work_had_begun(database: TestDatabase) {
    let service = Service::start(&database).await;
    service.open("acme-1").await;
    let (first, second) = (payment("acme-1", "1"), payment("acme-1", "2"));
    let frozen = database.freeze();
    let mut ledger = service.ledger();
    let begun = ledger.post(within(Duration::from_secs(2), first.clone())).await;
    assert_eq!(begun.refused(DeadlineExceeded).detail("started"), "true");
    let waiting = ledger.post(within(Duration::from_secs(1), second.clone())).await;
    let refusal = waiting.refused(DeadlineExceeded);
    assert!(["true", "false"].contains(&refusal.detail("started")));
    drop(frozen);
    // The same keys settle what became of them, and nothing is posted twice.
    for request in [first, second] {
        service.post(request).await.unwrap();
    }
    assert_eq!(figures(&service.balance("acme-1").await)[0], "3.00");
    service.stop().await;
}

async fn more_work_than_can_be_done_in_time_is_refused(database: TestDatabase) {
    let narrow = |settings: &mut Settings| settings.engine.limits.commands = 2;
    let service = Service::start_with(&database, narrow).await;
    service.open("acme-1").await;
    let frozen = database.freeze();
    let mut calls = tokio::task::JoinSet::new();
    let requests: Vec<_> = (0..40).map(|_| payment("acme-1", "1")).collect();
    for request in requests.clone() {
        let mut ledger = service.ledger();
        calls.spawn(async move { ledger.post(within(Duration::from_secs(30), request)).await });
    }
    // All but those that fit are turned away at once; then the database goes on.
    let first = calls.join_next().await.unwrap().unwrap();
    let refusal = first.refused(Overloaded);
    assert!(refusal.details.retry_info().unwrap().retry_delay.is_some());
    drop(frozen);
    while let Some(call) = calls.join_next().await {
        if let Err(status) = call.unwrap() {
            refused(&status, Overloaded);
        }
    }
    for request in requests {
        service.post(request).await.unwrap();
    }
    assert_eq!(figures(&service.balance("acme-1").await)[0], "40.00");
    service.stop().await;
}

async fn a_reader_that_reads_nothing_is_cut_and_loses_nothing(database: TestDatabase) {
    let impatient = |settings: &mut Settings| {
        settings.feed.stuck_after = Duration::from_millis(300);
        settings.feed.send_buffer = 1;
    };
    let service = Service::start_with(&database, impatient).await;
    service.open("acme-1").await;
    let mut stuck = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let mut watching = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let text = "x".repeat(1000);
    let mut last = 1;
    for _ in 0..6 {
        let posts = (0..1000).map(|_| v1::PostRequest { description: text.clone(), ..payment("acme-1", "1") });
        service.batch(independent(posts.map(IntoOperation::into_operation).collect())).await.unwrap();
        // Another reader is not held back by the one that is stuck.
        last = watching.take(1000).await.last().unwrap().sequence;
    }
    assert_eq!(last, 6001);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut seen = 1;
    let status = loop {
        match stuck.next_or_end().await {
            Ok(event) if matches!(event.payload, Some(v1::event::Payload::Heartbeat(_))) => {}
            Ok(event) => {
                assert_eq!(event.sequence, seen + 1);
                seen = event.sequence;
            }
            Err(status) => break status.unwrap(),
        }
    };
    assert!(seen < 6001, "the stream was cut before its end");
    let refusal = refused(&status, SlowSubscriber);
    let start = Some(Start::ResumeToken(refusal.detail("resume_token").to_owned()));
    let mut resumed = service.subscribe(v1::SubscribeRequest { start, ..subscription(&["acme-1"]) }).await.unwrap();
    assert_eq!(resumed.next().await.sequence, seen + 1, "it goes on exactly where it was cut");
    drop((resumed, watching));
    service.stop().await;
}

async fn a_server_whose_partition_was_taken_over_writes_no_more(database: TestDatabase) {
    let service = Service::start(&database).await;
    service.open_with("acme-1", "1").await;
    database.tamper("update partitions set epoch = epoch + 1");
    service.post(payment("acme-1", "1")).await.refused(ReadOnly);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "1.00", "reads go on");
    service.stop_unchecked().await;
}

async fn a_fault_inside_tells_its_id_and_nothing_else(database: TestDatabase) {
    let service = Service::start(&database).await;
    service.open_with("acme-1", "1").await;
    service.stop().await;
    database.tamper("update accounts set time_zone = 'Nowhere/Land'");
    let service = Service::start(&database).await;
    for refusal in [
        service.read_balance(balance("acme-1")).await.refused(Internal),
        service.post(payment("acme-1", "1")).await.refused(Internal),
    ] {
        assert!(!refusal.detail("error_id").is_empty());
        assert!(!refusal.message.contains("Nowhere"), "no inside shows: {}", refusal.message);
    }
    service.stop_unchecked().await;
}

#[test]
fn a_server_whose_clock_is_off_takes_no_mutations() {
    block_on(async {
        let database = TestDatabase::create(Backend::Postgres, 2).await;
        let service = Service::start_at(&database, Arc::new(ManualClock::broken()), |_| {}).await;
        let mut tries = 0;
        while service.create(account("acme-1")).await.is_ok() {
            tries += 1;
            assert!(tries < 400, "the clocks are compared");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        service.create(account("acme-1")).await.refused(ClockSkew);
        service.stop_unchecked().await;
    });
}

#[test]
fn a_position_that_is_not_seen_in_time_is_told() {
    block_on(async {
        let database = TestDatabase::create(Backend::Postgres, 2).await;
        let service = Service::start(&database).await;
        service.open("acme-1").await;
        let own = service.balance("acme-1").await.position.unwrap();
        let ahead = v1::JournalPosition { position: own.position + 5, ..own };
        let locked = database.lock("lock table journal in access exclusive mode");
        let request = v1::GetBalanceRequest { min_position: Some(ahead), ..balance("acme-1") };
        let answer = service.balances().get_balance(within(Duration::from_secs(1), request)).await;
        let refusal = answer.refused(PositionNotReached);
        assert_eq!(refusal.detail("position"), own.position.to_string());
        drop(locked);
        service.stop().await;
    });
}

#[test]
fn a_database_that_never_takes_a_change_is_told() {
    block_on(async {
        let database = TestDatabase::create(Backend::Postgres, 2).await;
        let service = Service::start(&database).await;
        service.open("acme-1").await;
        database.tamper(
            "create function fail() returns trigger language plpgsql as \
             $$ begin raise exception 'no' using errcode = '40001'; end $$; \
             create trigger fails before insert on journal for each row execute function fail()",
        );
        let request = payment("acme-1", "1");
        service.post(request.clone()).await.refused(Contention);
        database.tamper("drop trigger fails on journal");
        assert!(!service.post(request).await.unwrap().replayed, "nothing was written, and the key is not used up");
        service.stop().await;
    });
}

#[test]
fn a_link_that_breaks_at_the_commit_leaves_the_outcome_unknown() {
    block_on(async {
        use billing_db::test_support::{ClusterOptions, TestCluster};
        let cluster =
            TestCluster::start(ClusterOptions::default()).expect("install PostgreSQL: apt-get install postgresql");
        let database = TestDatabase::on_cluster(&cluster, 2);
        let service = Service::start(&database).await;
        service.open("acme-1").await;
        let frozen = database.freeze();
        let request = payment("acme-1", "1");
        let mut ledger = service.ledger();
        let sent = request.clone();
        let call = tokio::spawn(async move { ledger.post(within(Duration::from_secs(6), sent)).await });
        let waiting =
            "(select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
        while database.number(waiting) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cluster.crash().unwrap();
        drop(frozen);
        call.await.unwrap().refused(CommitOutcomeUnknown);
        service.post(payment("acme-1", "5")).await.refused(StorageUnavailable);
        service.read_balance(balance("acme-1")).await.refused(StorageUnavailable);
        cluster.restart().unwrap();
        let mut tries = 0;
        // The same key settles it.
        while let Err(status) = service.post(request.clone()).await {
            assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
            tries += 1;
            assert!(tries < 400, "the server finds its database again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(figures(&service.balance("acme-1").await)[0], "1.00");
        service.stop().await;
    });
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    block_on(async {
        let database = TestDatabase::create(Backend::Sqlite, 1).await;
        let Some(server) = crate::harness::Process::start_on_small_disk(&database, 6).await else { return };
        let mut accounts = v1::account_service_client::AccountServiceClient::new(server.channel());
        accounts.create_account(account("acme-1")).await.unwrap();
        let mut ledger = server.ledger();
        let mut posted = 0;
        let text = "x".repeat(1000);
        let status = loop {
            let posts = (0..50).map(|_| v1::PostRequest { description: text.clone(), ..payment("acme-1", "1") });
            let batch = atomic(posts.map(IntoOperation::into_operation).collect());
            match ledger.post_batch(batch).await {
                Ok(answer) => match &answer.get_ref().results[0].result {
                    Some(v1::operation_result::Result::Error(error)) => break error.reason.clone(),
                    _ => posted += 50,
                },
                Err(status) => {
                    refused(&status, StorageFull);
                    break "STORAGE_FULL".to_owned();
                }
            }
            assert!(posted < 100_000, "the disk is never full");
        };
        assert_eq!(status, "STORAGE_FULL");
        let read = server.balances().get_balance(balance("acme-1")).await.unwrap().into_inner().balance.unwrap();
        assert_eq!(figures(&read)[0], format!("{posted}.00"), "what was acknowledged is there, and reads go on");
        server.free_disk();
        let request = payment("acme-1", "1");
        let mut tries = 0;
        while let Err(status) = ledger.post(request.clone()).await {
            refused(&status, StorageFull);
            tries += 1;
            assert!(tries < 200, "with room again it recovers alone");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        crate::harness::ledger::assert_sound(&mut ledger).await;
        let _ = key();
    });
}
