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
    head.check_currency(filter.currency, "filter.min_amount.currency_code")?;
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

/// A page over all partitions, in the order of recording.
async fn find_page(
    engine: &Engine,
    filter: &NamedFilter,
    ascending: bool,
    page: &Page,
) -> Result<v1::FindEntriesResponse, Refusal> {
    let mut places = Places::of(page, engine.partitions())?;
    let mut records = Vec::new();
    for partition in 0..engine.partitions() {
        if let Some(numbered) = numbered(engine, partition, filter) {
            let walk = Walk { partition: find::number(partition), filter: numbered, ascending, limit: page.limit() };
            records.extend(walk.run(engine, filter, places.after(partition)).await?);
        }
    }
    // In a partition the order of recording is that of positions.
    records.sort_unstable_by_key(|record| (record.row.recorded_at, record.row.partition));
    if !ascending {
        records.reverse();
    }
    for record in records.iter().take(page.size) {
        places.pass(record.row.partition, record.row.position);
    }
    let next_page_token = page.cut(&mut records, |_| places.to_string());
    Ok(v1::FindEntriesResponse { entries: to_wire(&records)?, next_page_token })
}

/// How far a list over all partitions has come in each: the position of the last entry shown, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places(Vec<i64>);

impl Places {
    /// Where a page begins.
    fn of(page: &Page, partitions: u16) -> Result<Self, Refusal> {
        let count = usize::from(partitions);
        let Some(cursor) = &page.cursor else { return Ok(Self(vec![0; count])) };
        let places: Option<Vec<i64>> = cursor.split('.').map(|place| place.parse().ok()).collect();
        let places = places.filter(|places| places.len() == count && places.iter().all(|place| *place >= 0));
        let damaged = || Refusal::field(Reason::PageTokenInvalid, "page_token", "page_token is damaged.");
        places.map(Self).ok_or_else(damaged)
    }

    fn after(&self, partition: u16) -> Option<i64> {
        self.0.get(usize::from(partition)).copied().filter(|place| *place > 0)
    }

    fn pass(&mut self, partition: i16, position: i64) {
        if let Some(place) = usize::try_from(partition).ok().and_then(|partition| self.0.get_mut(partition)) {
            *place = position;
        }
    }
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&places.join("."))
    }
}

/// The walk over one partition for a page.
struct Walk {
    partition: i16,
    filter: EntryFilter,
    ascending: bool,
    limit: i64,
}

impl Walk {
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

    fn page_at(cursor: Option<&str>) -> Page {
        let mut page = page::page(&mut Violations::default(), 0, "", page::Query::of("x", &[]));
        page.cursor = cursor.map(str::to_owned);
        page
    }

    #[test]
    fn a_page_over_partitions_goes_on_where_the_last_one_ended_in_each() {
        let mut places = Places(vec![0; 3]);
        assert_eq!(Places::of(&page_at(None), 3), Ok(places.clone()));
        for (partition, position) in [(1, 4), (0, 9), (1, 5)] {
            places.pass(partition, position);
        }
        assert_eq!(places.to_string(), "9.5.0");
        assert_eq!(Places::of(&page_at(Some("9.5.0")), 3), Ok(places.clone()));
        assert_eq!([places.after(0), places.after(1), places.after(2)], [Some(9), Some(5), None]);
        for damaged in ["9.5", "9.x.0", "-1.5.0", ""] {
            let reason = Places::of(&page_at(Some(damaged)), 3).map_err(|refusal| refusal.reason);
            assert_eq!(reason, Err(Reason::PageTokenInvalid), "{damaged}");
        }
    }
}
