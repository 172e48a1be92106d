//! Which entries a list holds.

use billing_db::entries::EntryFilter;
use billing_proto::v1;

use super::page::Query;
use super::violations::Violations;
use super::{money, text, time};
use crate::domain::calendar::days_from_epoch;
use crate::domain::currency::Currency;
use crate::domain::identifier;
use crate::domain::instant::Instant;
use crate::domain::reason::Reason;

/// The most kinds or categories of a filter.
const MAX_ITEMS: usize = 100;
/// The longest range of days that entries of all accounts are looked for in.
const MAX_DAYS: i64 = 31;

/// A filter whose names are still names: each partition has numbers of its own for them.
#[derive(Clone, Debug, Default)]
pub struct NamedFilter {
    /// All conditions but those of names.
    pub filter: EntryFilter,
    /// With this counter account.
    pub counter: Option<String>,
    /// Of one of these categories; of any, if there are none.
    pub categories: Vec<String>,
    /// The currency that amounts were given in.
    pub currency: Option<Currency>,
}

/// A filter of the entries of one account.
pub fn read(found: &mut Violations, filter: Option<v1::EntryFilter>) -> NamedFilter {
    let Some(wire) = filter else { return NamedFilter::default() };
    let mut filter = EntryFilter::default();
    let from = time::instant(found, "filter.from_time", wire.from_time);
    let to = time::instant(found, "filter.to_time", wire.to_time);
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        let description = format!("{to} is before {from}.");
        found.add_with(Reason::DateRangeInvalid, "filter.to_time", description, &[("from", &from), ("to", &to)]);
    }
    filter.recorded_from = from.map(Instant::micros);
    filter.recorded_to = to.map(Instant::micros);
    let from = time::optional_date(found, "filter.from_date", &wire.from_date);
    let to = time::optional_date(found, "filter.to_date", &wire.to_date);
    if let (Some(from), Some(to)) = (from, to) {
        time::check_range(found, "filter.to_date", from, to, None);
    }
    filter.booking_from = from.map(days_from_epoch);
    filter.booking_to = to.map(days_from_epoch);
    filter.kinds = kinds(found, &wire.kinds);
    let categories = categories(found, wire.categories);
    let counter = text::counter_account(found, "filter.counter_account", wire.counter_account);
    let min = money::optional_not_negative(found, "filter.min_amount", wire.min_amount);
    let max = money::optional_not_negative(found, "filter.max_amount", wire.max_amount);
    filter.min_amount = min.map(|(amount, _)| amount.micros());
    filter.max_amount = max.map(|(amount, _)| amount.micros());
    let currency = one_currency(found, min.and_then(|(_, currency)| currency), max.and_then(|(_, currency)| currency));
    filter.invoice_id = text::optional_id(found, "filter.invoice_id", wire.invoice_id);
    filter.hold_id = text::optional_id(found, "filter.hold_id", wire.hold_id);
    filter.text = text::text(found, "filter.text", wire.text, text::MAX_SEARCH);
    NamedFilter { filter, counter, categories, currency }
}

/// A filter of the entries of all accounts: it names a short range of days, and the currency of its amounts.
pub fn read_bounded(found: &mut Violations, filter: Option<v1::EntryFilter>) -> NamedFilter {
    let Some(wire) = filter else {
        found.add_required("filter");
        return NamedFilter::default();
    };
    if wire.from_date.is_empty() {
        found.add_required("filter.from_date");
    }
    if wire.to_date.is_empty() {
        found.add_required("filter.to_date");
    }
    for (field, amount) in [("filter.min_amount", &wire.min_amount), ("filter.max_amount", &wire.max_amount)] {
        if amount.as_ref().is_some_and(|amount| amount.currency_code.is_empty()) {
            found.add_required(&format!("{field}.currency_code"));
        }
    }
    let named = read(found, Some(wire));
    let days = (named.filter.booking_from, named.filter.booking_to);
    if let (Some(from), Some(to)) = days
        && i64::from(to) - i64::from(from) >= MAX_DAYS
    {
        let description = format!("The days of the filter are at most {MAX_DAYS}.");
        let (from, to) = (time::day_to_wire(from), time::day_to_wire(to));
        let metadata: [(&str, &dyn std::fmt::Display); 3] = [("from", &from), ("to", &to), ("max_days", &MAX_DAYS)];
        found.add_with(Reason::DateRangeInvalid, "filter.to_date", description, &metadata);
    }
    named
}

/// Whether the oldest entry comes first.
pub fn is_ascending(found: &mut Violations, order: i32) -> bool {
    if v1::EntryOrder::try_from(order).is_err() {
        found.add_unknown_value("order", order);
    }
    order == v1::EntryOrder::OldestFirst as i32
}

/// What the tokens of a list of entries are bound to.
pub fn query(list: &str, account_id: &str, filter: Option<&v1::EntryFilter>, order: i32) -> Query {
    let filter = filter.map(prost::Message::encode_to_vec).unwrap_or_default();
    // Both ways to say the default are the same list.
    let order = [u8::from(order == v1::EntryOrder::OldestFirst as i32)];
    Query::of(list, &[account_id.as_bytes(), &filter, &order])
}

fn kinds(found: &mut Violations, kinds: &[i32]) -> Vec<i16> {
    check_count(found, "filter.kinds", kinds.len());
    let mut numbers = Vec::new();
    for (index, number) in kinds.iter().enumerate().take(MAX_ITEMS) {
        match v1::EntryKind::try_from(*number) {
            Ok(kind) if kind != v1::EntryKind::Unspecified => numbers.extend(i16::try_from(*number)),
            _ => found.add_unknown_value(&format!("filter.kinds[{index}]"), *number),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn categories(found: &mut Violations, categories: Vec<String>) -> Vec<String> {
    check_count(found, "filter.categories", categories.len());
    for (index, category) in categories.iter().enumerate().take(MAX_ITEMS) {
        if !identifier::is_category(category) {
            let field = format!("filter.categories[{index}]");
            let max = identifier::MAX_CATEGORY_LENGTH;
            let description = format!("{field} is 1 to {max} characters of a-z 0-9 _ . : and -.");
            found.add(Reason::FieldMalformed, &field, description);
        }
    }
    categories
}

fn check_count(found: &mut Violations, field: &str, count: usize) {
    if count > MAX_ITEMS {
        let description = format!("{field} has at most {MAX_ITEMS} items.");
        found.add_with(Reason::TooManyItems, field, description, &[("count", &count), ("max", &MAX_ITEMS)]);
    }
}

fn one_currency(found: &mut Violations, min: Option<Currency>, max: Option<Currency>) -> Option<Currency> {
    if let (Some(min), Some(max)) = (min, max)
        && min != max
    {
        let description = format!("Amounts of a filter are of one currency, not {min} and {max}.");
        let metadata: [(&str, &dyn std::fmt::Display); 2] = [("expected", &min), ("found", &max)];
        found.add_with(Reason::CurrencyMismatch, "filter.max_amount.currency_code", description, &metadata);
    }
    min.or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(filter: v1::EntryFilter) -> Vec<(String, String)> {
        let mut found = Violations::default();
        read_bounded(&mut found, Some(filter));
        let violations = found.finish().err().map(|refusal| refusal.violations).unwrap_or_default();
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    fn month() -> v1::EntryFilter {
        v1::EntryFilter {
            from_date: "2026-12-01".to_owned(),
            to_date: "2026-12-31".to_owned(),
            ..v1::EntryFilter::default()
        }
    }

    #[test]
    fn entries_of_all_accounts_are_looked_for_in_31_days() {
        assert_eq!(violations(month()), []);
        let field = |name: &str, reason: &str| (name.to_owned(), reason.to_owned());
        let longer = v1::EntryFilter { to_date: "2027-01-01".to_owned(), ..month() };
        assert_eq!(violations(longer), [field("filter.to_date", "DATE_RANGE_INVALID")]);
        let backwards = v1::EntryFilter { to_date: "2026-11-30".to_owned(), ..month() };
        assert_eq!(violations(backwards), [field("filter.to_date", "DATE_RANGE_INVALID")]);
        let open = v1::EntryFilter { to_date: String::new(), ..month() };
        assert_eq!(violations(open), [field("filter.to_date", "FIELD_REQUIRED")]);
        let kinds = v1::EntryFilter { kinds: vec![1, 0, 99], ..month() };
        let unknown = [field("filter.kinds[1]", "ENUM_VALUE_UNKNOWN"), field("filter.kinds[2]", "ENUM_VALUE_UNKNOWN")];
        assert_eq!(violations(kinds), unknown);
    }

    #[test]
    fn the_default_order_said_or_unsaid_is_the_same_list() {
        assert_eq!(query("entries", "a", None, 0), query("entries", "a", None, 1));
        assert_ne!(query("entries", "a", None, 0), query("entries", "a", None, 2));
        assert_ne!(query("entries", "a", Some(&month()), 0), query("entries", "a", None, 0));
    }
}
