//! A struct a table row. Amounts are millionths, instants microseconds since the Unix epoch, dates days since then.

use diesel::prelude::*;

use crate::schema::{accounts, due, holds, journal, names, outcomes, partitions, reversals};

/// One row of the journal. `None` in an amount stands for zero; see the migration for what each column means.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = journal, treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct JournalRow {
    pub partition: i16,
    pub position: i64,
    pub account: i64,
    pub sequence: i64,
    pub kind: i16,
    pub format: i16,
    pub writer: i32,
    pub entry_sequence: Option<i64>,
    pub amount: i64,
    pub posted_after: i64,
    pub held_after: Option<i64>,
    pub available_after: i64,
    pub bonus_after: Option<i64>,
    pub credit_limit_after: Option<i64>,
    pub promised_after: Option<i64>,
    pub not_due_after: Option<i64>,
    pub overdue_after: Option<i64>,
    pub counter: Option<i32>,
    pub category: Option<i32>,
    pub created_by: Option<i32>,
    pub booking_date: Option<i32>,
    pub occurred_at: Option<i64>,
    pub recorded_at: i64,
    pub key_hash: Option<Vec<u8>>,
    pub idempotency_key: Option<String>,
    pub description: Option<String>,
    pub reference: Option<String>,
    pub details: Option<String>,
    pub texts_digest: Option<Vec<u8>>,
    pub payload: Option<String>,
    pub hash: Vec<u8>,
}

/// Identity and settings of an account.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, primary_key(partition, account), treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct AccountRow {
    pub partition: i16,
    pub account: i64,
    pub account_id: String,
    pub customer_id: String,
    pub currency: String,
    pub time_zone: String,
    pub locale: String,
    pub state: i16,
    pub billing_mode: i16,
    pub credit_limit: i64,
    pub payment_terms_days: Option<i32>,
    pub policy_id: Option<String>,
    pub display_name: Option<String>,
    pub billing_details: Option<String>,
    pub metadata: Option<String>,
    pub secret: Option<Vec<u8>>,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// A hold; `state` is 1 open, 2 captured, 3 released, 4 expired. `placed_sequence` is the sequence of the journal row that
/// placed it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = holds, primary_key(partition, account, hold_id), treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct HoldRow {
    pub partition: i16,
    pub account: i64,
    pub hold_id: String,
    pub placed_sequence: i64,
    pub state: i16,
    pub amount: i64,
    pub captured: i64,
    pub expires_at: i64,
    pub placed_at: i64,
    pub updated_at: i64,
    pub category: Option<String>,
    pub description: Option<String>,
    pub reference: Option<String>,
    pub metadata: Option<String>,
}

/// How much of an entry was reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = reversals, primary_key(partition, account, sequence), treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct ReversalRow {
    pub partition: i16,
    pub account: i64,
    pub sequence: i64,
    pub reversed: i64,
}

/// A refusal remembered for its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = outcomes, treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct OutcomeRow {
    pub partition: i16,
    pub account: i64,
    pub key_hash: Vec<u8>,
    pub recorded_at: i64,
    pub reason: String,
    pub content: String,
    pub details: String,
}

/// Something that will fall due at `at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Queryable, Selectable, Insertable)]
#[diesel(table_name = due, treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct DueRow {
    pub partition: i16,
    pub at: i64,
    pub kind: i16,
    pub account: i64,
    pub subject: String,
}

/// A name of the partition's dictionary.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = names, treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct NameRow {
    pub partition: i16,
    pub name_id: i32,
    pub name: String,
}

/// The anchor of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = partitions, treat_none_as_default_value = false)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[allow(missing_docs)]
pub struct PartitionRow {
    pub partition: i16,
    pub epoch: i64,
    pub format: i16,
    pub closed_until: Option<i32>,
}
