//! What a balance is made of.

use std::sync::Arc;

use billing_db::entries::{self, EntryFilter};
use billing_proto::v1;
use v1::explanation_item::Item;

use crate::convert::{balance, entry, hold, money};
use crate::domain::head::Head;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::engine::Engine;
use crate::engine::record::Record;
use crate::services::find;

/// The present balance with the shortest list of parts that adds up to it: entries back to the last time that nothing was
/// posted, at most `count`.
pub(super) async fn explain(
    engine: &Engine,
    head: Arc<Head>,
    position: v1::JournalPosition,
    count: i64,
) -> Result<v1::ExplainBalanceResponse, Refusal> {
    let now = engine.now();
    let records = newest(engine, &head, count).await?;
    let (opening, records) = since_zero(&head, records, count);
    let currency = head.identity.currency;
    let part = |effect: Money, item: Item| v1::ExplanationItem {
        effect: Some(money::to_wire(effect, currency)),
        item: Some(item),
    };
    let (posted, entry_sequence) = opening;
    let opening = v1::OpeningBalance { posted: Some(money::to_wire(posted, currency)), entry_sequence };
    let mut items = vec![part(posted, Item::Opening(opening))];
    for record in &records {
        items.push(part(Money::from_micros(record.row.amount), Item::Entry(entry::to_wire(record, false)?)));
    }
    for open in head.open_holds.iter().filter(|open| open.expires_at > now) {
        let wire = hold::to_wire((**open).clone(), &head.identity);
        items.push(part(open.rest().negated(), Item::Hold(wire)));
    }
    let amounts = head.amounts_at(now);
    if !amounts.promised.is_zero() {
        let rest = Some(money::to_wire(amounts.promised, currency));
        let promise = v1::PromiseSummary { rest, ..v1::PromiseSummary::default() };
        items.push(part(amounts.promised, Item::Promise(promise)));
    }
    for (amount, item) in [
        (amounts.credit_limit, Item::CreditLimit(money::to_wire(amounts.credit_limit, currency))),
        (amounts.not_due, Item::NotDue(money::to_wire(amounts.not_due, currency))),
    ] {
        if !amount.is_zero() {
            items.push(part(amount, item));
        }
    }
    Ok(v1::ExplainBalanceResponse { balance: Some(balance::of_head(&head, now, position)), items })
}

/// The account's last entries up to the head, newest first: one more than asked for, to know what came before them.
async fn newest(engine: &Engine, head: &Head, count: i64) -> Result<Vec<Record>, Refusal> {
    if head.amounts.posted.is_zero() {
        return Ok(Vec::new());
    }
    let (partition, account) = (find::number(head.identity.partition), head.identity.account);
    let (before, reader) = (head.entry_sequence.saturating_add(1), engine.clone());
    engine
        .read(move |conn| {
            let filter = EntryFilter::default();
            let limit = count.saturating_add(1);
            let rows = entries::list_of_account(conn, partition, account, &filter, Some(before), false, limit)?;
            reader.records(conn, rows)
        })
        .await
}

/// What was posted before the entries listed and by which entry, and those entries, oldest first.
fn since_zero(head: &Head, mut newest: Vec<Record>, count: i64) -> ((Money, i64), Vec<Record>) {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let zero = newest.iter().position(|record| record.row.posted_after == 0);
    let opening = match zero {
        // The head is at zero itself: nothing is to be explained.
        None if newest.is_empty() => (head.amounts.posted, head.entry_sequence),
        Some(index) if index <= count => {
            let sequence = newest.get(index).map_or(0, |record| record.row.sequence);
            newest.truncate(index);
            (Money::ZERO, sequence)
        }
        _ => {
            let before = newest.get(count).map(|record| (record.row.posted_after, record.row.sequence));
            newest.truncate(count);
            let (posted, sequence) = before.unwrap_or_default();
            (Money::from_micros(posted), sequence)
        }
    };
    newest.reverse();
    (opening, newest)
}
