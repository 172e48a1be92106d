//! Reading entries.

use billing_db::entries::{self as table, EntryFilter};
use billing_db::journal;
use billing_proto::v1;
use tonic::{Request, Response, Status};

use crate::convert::entry_filter::{self, NamedFilter};
use crate::convert::page::{self, Page};
use crate::convert::violations::Violations;
use crate::convert::{entry, text};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::engine::record::Record;
use crate::services::{Call, find};

/// Returns one entry.
pub(super) async fn get(
    engine: &Engine,
    request: Request<v1::GetEntryRequest>,
) -> Result<Response<v1::GetEntryResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    entry::check_sequence(&mut found, request.sequence);
    found.finish()?;
    let entry = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        get_one(engine, &account_id, request.sequence).await
    });
    Ok(Response::new(v1::GetEntryResponse { entry: Some(entry.await?) }))
}

async fn get_one(engine: &Engine, account_id: &str, sequence: i64) -> Result<v1::Entry, Refusal> {
    let head = find::head(engine, account_id).await?;
    let (partition, account) = (find::number(head.identity.partition), head.identity.account);
    let reader = engine.clone();
    let records = engine
        .read(move |conn| {
            let row = journal::row_of(conn, partition, account, sequence)?;
            reader.records(conn, row.into_iter().collect())
        })
        .await?;
    let record = records.first().filter(|record| record.kind.is_entry()).ok_or_else(|| {
        Refusal::new(Reason::EntryNotFound, format!("Account {account_id} has no entry of sequence {sequence}."))
            .with("account_id", account_id)
            .with("sequence", sequence)
    })?;
    entry::to_wire(record, false)
}

/// Lists the entries of an account.
pub(super) async fn list(
    engine: &Engine,
    request: Request<v1::ListEntriesRequest>,
) -> Result<Response<v1::ListEntriesResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let query = entry_filter::query("entries", &request.account_id, request.filter.as_ref(), request.order);
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let filter = entry_filter::read(&mut found, request.filter);
    let ascending = entry_filter::is_ascending(&mut found, request.order);
    let page = page::page(&mut found, request.page_size, &request.page_token, query);
    found.finish()?;
    let response = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        list_page(engine, &account_id, filter, ascending, &page).await
    });
    Ok(Response::new(response.await?))
}

async fn list_page(
    engine: &Engine,
    account_id: &str,
    filter: NamedFilter,
    ascending: bool,
    page: &Page,
) -> Result<v1::ListEntriesResponse, Refusal> {
    let head = find::head(engine, account_id).await?;
    head.check_currency(filter.currency, "filter.min_amount")?;
    let Some(filter) = numbered(engine, head.identity.partition, &filter) else {
        return Ok(v1::ListEntriesResponse::default());
    };
    let (partition, account) = (find::number(head.identity.partition), head.identity.account);
    let (after, limit, reader) = (page.number()?, page.limit(), engine.clone());
    let mut records = engine
        .read(move |conn| {
            let rows = table::list_of_account(conn, partition, account, &filter, after, ascending, limit)?;
            reader.records(conn, rows)
        })
        .await?;
    let next_page_token = page.cut(&mut records, |last| last.row.sequence.to_string());
    Ok(v1::ListEntriesResponse { entries: to_wire(&records)?, next_page_token })
}

/// The filter with the numbers that a partition has for its names; `None` if no row there can match.
fn numbered(engine: &Engine, partition: u16, named: &NamedFilter) -> Option<EntryFilter> {
    let mut filter = named.filter.clone();
    if let Some(counter) = &named.counter {
        filter.counter = Some(engine.name_number(partition, counter)?);
    }
    if !named.categories.is_empty() {
        filter.categories =
            named.categories.iter().filter_map(|category| engine.name_number(partition, category)).collect();
        if filter.categories.is_empty() {
            return None;
        }
    }
    Some(filter)
}

fn to_wire(records: &[Record]) -> Result<Vec<v1::Entry>, Refusal> {
    records.iter().map(|record| entry::to_wire(record, false)).collect()
}

/// Finds entries of all accounts.
pub(super) async fn find(
    engine: &Engine,
    request: Request<v1::FindEntriesRequest>,
) -> Result<Response<v1::FindEntriesResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let query = entry_filter::query("found_entries", "", request.filter.as_ref(), request.order);
    let mut found = Violations::default();
    let filter = entry_filter::read_bounded(&mut found, request.filter);
    let ascending = entry_filter::is_ascending(&mut found, request.order);
    let page = page::page(&mut found, request.page_size, &request.page_token, query);
    found.finish()?;
    let response = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        find_page(engine, &filter, ascending, &page).await
    });
    Ok(Response::new(response.await?))
}

/// A page over all partitions, by position and then by partition.
async fn find_page(
    engine: &Engine,
    filter: &NamedFilter,
    ascending: bool,
    page: &Page,
) -> Result<v1::FindEntriesResponse, Refusal> {
    let after = page.cursor.as_deref().map(|_| cursor_of(page)).transpose()?;
    let mut records = Vec::new();
    for partition in 0..engine.partitions() {
        if let Some(numbered) = numbered(engine, partition, filter) {
            let walk = Walk { partition: find::number(partition), filter: numbered, ascending, limit: page.limit() };
            let after = after.map(|after| walk.begins_after(after));
            records.extend(walk.run(engine, filter, after).await?);
        }
    }
    records.sort_unstable_by_key(|record| (record.row.position, record.row.partition));
    if !ascending {
        records.reverse();
    }
    let next_page_token = page.cut(&mut records, |last| format!("{}/{}", last.row.position, last.row.partition));
    Ok(v1::FindEntriesResponse { entries: to_wire(&records)?, next_page_token })
}

/// The position and the partition where a page begins.
fn cursor_of(page: &Page) -> Result<(i64, i16), Refusal> {
    let cursor = page.number_and_name()?.and_then(|(position, name)| Some((position, name.parse().ok()?)));
    cursor.ok_or_else(|| Refusal::field(Reason::PageTokenInvalid, "page_token", "page_token is damaged."))
}

/// The walk over one partition for a page.
struct Walk {
    partition: i16,
    filter: EntryFilter,
    ascending: bool,
    limit: i64,
}

impl Walk {
    /// The position after which this partition goes on, where the list ended at a position of some partition: those of
    /// one position follow each other by partition.
    fn begins_after(&self, (position, partition): (i64, i16)) -> i64 {
        match (self.ascending, self.partition.cmp(&partition)) {
            (true, std::cmp::Ordering::Greater) => position.saturating_sub(1),
            (false, std::cmp::Ordering::Less) => position.saturating_add(1),
            _ => position,
        }
    }

    /// Reads until the page is full or nothing is left: only entries of the currency named count.
    async fn run(self, engine: &Engine, named: &NamedFilter, mut after: Option<i64>) -> Result<Vec<Record>, Refusal> {
        let (partition, ascending, limit) = (self.partition, self.ascending, self.limit);
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut kept: Vec<Record> = Vec::new();
        loop {
            let (filter, reader) = (self.filter.clone(), engine.clone());
            let records = engine
                .read(move |conn| {
                    let rows = table::find(conn, partition, &filter, after, ascending, limit)?;
                    reader.records(conn, rows)
                })
                .await?;
            let is_last = records.len() < wanted;
            after = records.last().map(|record| record.row.position).or(after);
            kept.extend(records.into_iter().filter(|record| match (named.currency, &record.identity) {
                (Some(currency), Some(identity)) => identity.currency == currency,
                _ => true,
            }));
            if is_last || kept.len() >= wanted {
                kept.truncate(wanted);
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_over_partitions_goes_on_where_the_last_one_ended() {
        let walk = |partition, ascending| Walk { partition, filter: EntryFilter::default(), ascending, limit: 1 };
        for (partition, ascending, after) in
            [(0, true, 7), (1, true, 7), (2, true, 6), (0, false, 8), (1, false, 7), (2, false, 7)]
        {
            assert_eq!(walk(partition, ascending).begins_after((7, 1)), after, "{partition} {ascending}");
        }
    }
}
