//! Closing the books, and the trial balance.

use std::collections::{BTreeMap, HashMap};

use billing_db::{Conn, DbError, names, totals};
use billing_proto::v1;
use chrono::NaiveDate;
use tonic::{Request, Response, Status};

use crate::convert::violations::Violations;
use crate::convert::{money, operation, position, text, time};
use crate::domain::calendar::{TimeZone, days_from_epoch, local_date};
use crate::domain::currency::Currency;
use crate::domain::instant::Instant;
use crate::domain::reason::Reason;
use crate::engine::Engine;
use crate::engine::command::Body;
use crate::services::{Call, find};

/// The time zone in which a day ends last.
const LAST_ZONE: &str = "Etc/GMT+12";
/// The name of the row of all client accounts.
const CLIENTS: &str = "clients";

/// Closes the books up to a date.
pub(super) async fn close(
    engine: &Engine,
    request: Request<v1::CloseBooksRequest>,
) -> Result<Response<v1::CloseBooksResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut found = Violations::default();
    let until = time::date(&mut found, "until_date", &request.until_date);
    if let Some(until) = until.filter(|until| !has_ended(*until, engine.now())) {
        let description = format!("{until} has not ended in every time zone yet.");
        let last = last_ended(engine.now());
        let metadata: [(&str, &dyn std::fmt::Display); 2] = [("from", &until), ("to", &last)];
        found.add_with(Reason::DateRangeInvalid, "until_date", description, &metadata);
    }
    let key = text::optional_key(&mut found, request.idempotency_key);
    let reason = text::text(&mut found, "reason", request.reason, text::MAX_DESCRIPTION);
    let until = found.finish_with(until)?;
    let command = operation::command(String::new(), key, Body::CloseBooks { until, reason }, false);
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    // Of partitions whose row is not in the answer, a position at which the closing is seen.
    let mut positions = find::positions(engine);
    for exact in outcome.rows.iter().map(|record| position::of(record)) {
        positions.iter_mut().filter(|position| position.partition == exact.partition).for_each(|at| *at = exact);
    }
    // Closing to the same date again writes no row.
    let replayed = outcome.replayed || outcome.rows.is_empty();
    Ok(Response::new(v1::CloseBooksResponse { until_date: until.to_string(), replayed, positions }))
}

/// Whether a day is over everywhere.
fn has_ended(day: NaiveDate, now: Instant) -> bool {
    day <= last_ended(now)
}

/// The last day that is over everywhere.
fn last_ended(now: Instant) -> NaiveDate {
    let zone = TimeZone::parse(LAST_ZONE).unwrap_or(TimeZone::UTC);
    local_date(now, zone).pred_opt().unwrap_or(NaiveDate::MIN)
}

/// The turnover of each counter account and of all client accounts.
pub(super) async fn trial_balance(
    engine: &Engine,
    request: Request<v1::GetTrialBalanceRequest>,
) -> Result<Response<v1::GetTrialBalanceResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut found = Violations::default();
    let from = time::date(&mut found, "from_date", &request.from_date);
    let to = time::date(&mut found, "to_date", &request.to_date);
    if let (Some(from), Some(to)) = (from, to) {
        time::check_range(&mut found, "to_date", from, to, None);
    }
    let currency = money::currency(&mut found, "currency_code", &request.currency_code);
    let period = from.zip(to).zip(currency);
    let ((from, to), currency) = found.finish_with(period)?;
    let days = (days_from_epoch(from), days_from_epoch(to));
    let response = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        // Taken first: what was written by then is in the sums.
        let positions = find::positions(engine);
        let partitions = engine.partitions();
        let books = engine
            .read(move |conn| {
                let mut books = Books::default();
                for partition in 0..partitions {
                    books.add(conn, find::number(partition), days, currency)?;
                }
                Ok(books)
            })
            .await?;
        Ok(books.to_wire(currency, positions))
    });
    Ok(Response::new(response.await?))
}

/// What was taken and what was given, in millionths, neither negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sides {
    debits: i128,
    credits: i128,
}

impl Sides {
    fn add(&mut self, debits: i128, credits: i128) {
        self.debits += debits;
        self.credits += credits;
    }
}

/// The turnovers of a period.
#[derive(Debug, Default)]
struct Books {
    clients: Sides,
    counters: BTreeMap<String, Sides>,
}

impl Books {
    /// Adds the turnovers of a partition. The tax in an entry goes to an account of its own, the remainder to the counter
    /// account.
    fn add(
        &mut self,
        conn: &mut Conn<'_>,
        partition: i16,
        (from, to): (i32, i32),
        currency: Currency,
    ) -> Result<(), DbError> {
        let names: HashMap<i32, String> =
            names::all(conn, partition)?.into_iter().map(|row| (row.name_id, row.name)).collect();
        let name = |number: i32| names.get(&number).cloned().unwrap_or_else(|| format!("#{number}"));
        for turnover in totals::turnover(conn, partition, from, to, currency.code())? {
            // Upstream, debits are what raised the clients' balances; that is a credit to them.
            let (raised, lowered) = (turnover.debits.abs(), turnover.credits.abs());
            self.clients.add(lowered, raised);
            self.counters.entry(name(turnover.counter)).or_default().add(raised, lowered);
        }
        for tax in totals::tax_turnover(conn, partition, from, to, currency.code())? {
            let (raised, lowered) = (tax.debits.abs(), tax.credits.abs());
            self.counters.entry(name(tax.counter)).or_default().add(-raised, -lowered);
            self.counters.entry(format!("tax:{}", tax.code)).or_default().add(raised, lowered);
        }
        Ok(())
    }

    fn to_wire(&self, currency: Currency, positions: Vec<v1::JournalPosition>) -> v1::GetTrialBalanceResponse {
        let write = |micros| Some(money::sum_to_wire(micros, currency));
        let row = |account: &str, clients: bool, sides: &Sides| v1::TrialBalanceRow {
            account: account.to_owned(),
            clients,
            debits: write(sides.debits),
            credits: write(sides.credits),
            net: write(sides.credits - sides.debits),
        };
        let mut rows = vec![row(CLIENTS, true, &self.clients)];
        rows.extend(self.counters.iter().map(|(account, sides)| row(account, false, sides)));
        let mut total = self.clients;
        for sides in self.counters.values() {
            total.add(sides.debits, sides.credits);
        }
        let net = write(total.credits - total.debits);
        let total = v1::TrialBalanceTotal { debits: write(total.debits), credits: write(total.credits), net };
        v1::GetTrialBalanceResponse { rows, total: Some(total), positions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::start_of_day;

    #[test]
    fn a_day_is_closed_when_it_has_ended_everywhere() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 30).unwrap_or_default();
        let noon = start_of_day(NaiveDate::from_ymd_opt(2026, 12, 1).unwrap_or_default(), TimeZone::UTC)
            .checked_add(std::time::Duration::from_secs(12 * 3600))
            .unwrap_or_default();
        assert!(has_ended(day, noon));
        assert!(!has_ended(day, Instant::from_micros(noon.micros() - 1)));
    }
}
