//! What an answer says, in a form that a test can compare; and whether the ledger as a whole is sound.

use billing_proto::v1;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use billing_proto::v1::verify_ledger_response::Message;
use tonic::transport::Channel;

/// The digits of an amount that must be there.
#[track_caller]
pub(crate) fn value(money: &Option<v1::Money>) -> &str {
    &money.as_ref().expect("an amount").value
}

/// Posted, held and available of a balance.
#[track_caller]
pub(crate) fn figures(balance: &v1::Balance) -> [&str; 3] {
    [value(&balance.posted), value(&balance.held), value(&balance.available)]
}

/// Posted, held and available after an entry.
#[track_caller]
pub(crate) fn after(entry: &v1::Entry) -> [&str; 3] {
    let after = entry.balance_after.as_ref().expect("the balance after");
    [value(&after.posted), value(&after.held), value(&after.available)]
}

/// The entry of an answer to a post.
#[track_caller]
pub(crate) fn entry(answer: &v1::PostResponse) -> &v1::Entry {
    answer.entry.as_ref().expect("an entry")
}

/// What a verification found, and its summary.
pub(crate) async fn verify(
    ledger: &mut LedgerServiceClient<Channel>,
    account_id: &str,
) -> (Vec<v1::LedgerViolation>, v1::VerificationSummary) {
    let request = v1::VerifyLedgerRequest { account_id: account_id.to_owned() };
    let mut stream = ledger.verify_ledger(request).await.unwrap().into_inner();
    let mut violations = Vec::new();
    let mut summary = None;
    while let Some(response) = stream.message().await.unwrap() {
        assert!(summary.is_none(), "the summary is the last message");
        match response.message.unwrap() {
            Message::Progress(progress) => assert!(progress.checked_rows <= progress.total_rows, "{progress:?}"),
            Message::Violation(violation) => violations.push(violation),
            Message::Summary(end) => summary = Some(end),
        }
    }
    (violations, summary.expect("the verification has come to its end"))
}

/// Asserts that every invariant of the ledger holds.
pub(crate) async fn assert_sound(ledger: &mut LedgerServiceClient<Channel>) {
    let (violations, summary) = verify(ledger, "").await;
    assert_eq!(violations, [], "the ledger is sound");
    assert_eq!(summary.violation_count, 0);
}

/// All entries of an account, the oldest first.
pub(crate) async fn all_entries(ledger: &mut LedgerServiceClient<Channel>, account_id: &str) -> Vec<v1::Entry> {
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListEntriesRequest { page_size: 1000, page_token, ..super::requests::entries(account_id) };
        let page = ledger.list_entries(request).await.unwrap().into_inner();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        page_token = page.next_page_token;
    }
}
