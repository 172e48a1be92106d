//! Which entries to list.

use billing_proto::v1;
use chrono::{DateTime, NaiveDate, Utc};

use crate::entry::EntryKind;
use crate::macros::request;
use crate::money::{Money, to_wire};
use crate::wire::to_timestamp;

request! {
    /// Which entries are wanted. All conditions must hold.
    EntryFilter as EntryFilter {}
}

impl Default for EntryFilter {
    fn default() -> Self {
        Self::all()
    }
}

impl EntryFilter {
    /// Every entry.
    pub fn all() -> Self {
        Self { wire: v1::EntryFilter::default() }
    }

    /// Only entries recorded at this instant or later.
    pub fn from_time(mut self, instant: DateTime<Utc>) -> Self {
        self.wire.from_time = Some(to_timestamp(instant));
        self
    }

    /// Only entries recorded before this instant.
    pub fn to_time(mut self, instant: DateTime<Utc>) -> Self {
        self.wire.to_time = Some(to_timestamp(instant));
        self
    }

    /// Only entries booked on these days, both included.
    pub fn booked(mut self, from: NaiveDate, to: NaiveDate) -> Self {
        self.wire.from_date = from.to_string();
        self.wire.to_date = to.to_string();
        self
    }

    /// Only entries of one of these kinds.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = EntryKind>) -> Self {
        self.wire.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// Only entries of one of these categories.
    pub fn categories<T: Into<String>>(mut self, categories: impl IntoIterator<Item = T>) -> Self {
        self.wire.categories = categories.into_iter().map(Into::into).collect();
        self
    }

    /// Only entries with this counter account.
    pub fn counter_account(mut self, name: impl Into<String>) -> Self {
        self.wire.counter_account = name.into();
        self
    }

    /// Only entries of at least this amount, whatever their sign.
    pub fn min_amount(mut self, amount: impl Into<Money>) -> Self {
        self.wire.min_amount = Some(to_wire(amount));
        self
    }

    /// Only entries of at most this amount, whatever their sign.
    pub fn max_amount(mut self, amount: impl Into<Money>) -> Self {
        self.wire.max_amount = Some(to_wire(amount));
        self
    }

    /// Only entries that belong to this invoice.
    pub fn invoice_id(mut self, invoice_id: impl Into<String>) -> Self {
        self.wire.invoice_id = invoice_id.into();
        self
    }

    /// Only entries captured from this hold.
    pub fn hold_id(mut self, hold_id: impl Into<String>) -> Self {
        self.wire.hold_id = hold_id.into();
        self
    }

    /// Only entries whose description or reference contains this text, whatever its case.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.wire.text = text.into();
        self
    }
}

request! {
    /// Lists the entries of an account, the newest first.
    ListEntries as ListEntriesRequest { page_size, page_token }
}

impl ListEntries {
    /// All entries of this account.
    pub fn of(account_id: impl Into<String>) -> Self {
        Self { wire: v1::ListEntriesRequest { account_id: account_id.into(), ..Default::default() } }
    }

    /// Only the entries that match.
    pub fn filter(mut self, filter: EntryFilter) -> Self {
        self.wire.filter = Some(filter.wire);
        self
    }

    /// The entry recorded first comes first.
    pub fn oldest_first(mut self) -> Self {
        self.wire.order = v1::EntryOrder::OldestFirst.into();
        self
    }
}

request! {
    /// Finds entries of all accounts, the newest first; for operators.
    FindEntries as FindEntriesRequest { page_size, page_token }
}

impl FindEntries {
    /// The entries booked on these days, both included, at most 31.
    pub fn booked(from: NaiveDate, to: NaiveDate) -> Self {
        Self::matching(EntryFilter::all().booked(from, to))
    }

    /// The entries that match; the filter must name at most 31 booking dates.
    pub fn matching(filter: EntryFilter) -> Self {
        Self { wire: v1::FindEntriesRequest { filter: Some(filter.wire), ..Default::default() } }
    }

    /// The entry recorded first comes first.
    pub fn oldest_first(mut self) -> Self {
        self.wire.order = v1::EntryOrder::OldestFirst.into();
        self
    }
}
