//! Accounts: identity and settings.

use diesel::prelude::*;

use crate::backend::{Backend, Conn, on_backend};
use crate::error::DbError;
use crate::rows::AccountRow;
use crate::schema::accounts;
use crate::statement::{Composed, Statement, StatementId, Value, column};
use crate::text;

/// Which accounts a list holds; what is `None` or empty does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Of this customer.
    pub customer_id: Option<String>,
    /// In this state.
    pub state: Option<i16>,
    /// In debt or not: prepaid, and the posted balance is below zero.
    pub has_debt: Option<bool>,
    /// Whose id, display name or legal name contains this, in any case.
    pub text: Option<String>,
    /// Whose metadata hold all these pairs.
    pub metadata: Vec<(String, String)>,
    /// Under this policy.
    pub policy_id: Option<String>,
}

/// The `billing_mode` of accounts that pay first: what they owe without an invoice is a debt.
const PREPAID: i16 = 1;

/// The columns of `accounts` under the alias `a`, in the order of [`AccountRow`].
macro_rules! account_columns {
    () => {
        "a.partition, a.account, a.account_id, a.customer_id, a.currency, a.time_zone, a.locale, a.state, \
         a.billing_mode, a.credit_limit, a.payment_terms_days, a.policy_id, a.display_name, a.billing_details, \
         a.metadata, a.secret, a.version, a.created_at, a.updated_at"
    };
}
pub(crate) use account_columns;

/// The account with an id.
pub fn find(conn: &mut Conn<'_>, partition: i16, account_id: &str) -> Result<Option<AccountRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        accounts::table
            .filter(accounts::partition.eq(partition))
            .filter(accounts::account_id.eq(account_id))
            .select(AccountRow::as_select())
            .first(c)
            .optional()
    })?)
}

/// The accounts with these numbers, in the order of their numbers; those that do not exist are left out.
pub fn get_by_numbers(conn: &mut Conn<'_>, partition: i16, numbers: &[i64]) -> Result<Vec<AccountRow>, DbError> {
    let mut rows = Vec::with_capacity(numbers.len());
    for chunk in numbers.chunks(1_000) {
        rows.extend(on_backend!(conn, |c| {
            accounts::table
                .filter(accounts::partition.eq(partition))
                .filter(accounts::account.eq_any(chunk))
                .select(AccountRow::as_select())
                .load(c)
        })?);
    }
    rows.sort_unstable_by_key(|row: &AccountRow| row.account);
    Ok(rows)
}

/// The accounts a filter lets through, in the order of their ids, from after one on.
pub fn list(
    conn: &mut Conn<'_>,
    partition: i16,
    filter: &AccountFilter,
    after_account_id: Option<&str>,
    limit: i64,
) -> Result<Vec<AccountRow>, DbError> {
    const HEAD: &str = concat!("select ", account_columns!(), " from accounts a where a.partition = ?");
    let lower = filter.text.as_deref().map(str::to_lowercase);
    let mut query = Composed::new(HEAD, [Value::SmallInt(partition)]);
    query.and("a.account_id > ?", after_account_id.map(Value::Text));
    query.and("a.customer_id = ?", filter.customer_id.as_deref().map(Value::Text));
    query.and("a.state = ?", filter.state.map(Value::SmallInt));
    query.and("a.policy_id = ?", filter.policy_id.as_deref().map(Value::Text));
    if let Some(lower) = &lower {
        let legal_name = match conn.backend() {
            Backend::Postgres => "(a.billing_details::json ->> 'legal_name')",
            Backend::Sqlite => "(a.billing_details ->> 'legal_name')",
        };
        let contains = text::any_contains(conn.backend(), ["a.account_id", "a.display_name", legal_name]);
        query.push(&format!(" and {contains}"), [Value::Text(lower), Value::Text(lower), Value::Text(lower)]);
    }
    for (key, value) in &filter.metadata {
        let holds = match conn.backend() {
            Backend::Postgres => " and (a.metadata::json ->> ?::text) = ?",
            Backend::Sqlite => " and exists (select 1 from json_each(a.metadata) e where e.key = ? and e.value = ?)",
        };
        query.push(holds, [Value::Text(key), Value::Text(value)]);
    }
    if let Some(has_debt) = filter.has_debt {
        let newest = "(select j.posted_after from journal j where j.partition = ? and j.account = a.account
            order by j.sequence desc limit 1)";
        let condition = if has_debt {
            format!(" and a.billing_mode = {PREPAID} and {newest} < 0")
        } else {
            format!(" and (a.billing_mode <> {PREPAID} or {newest} >= 0)")
        };
        query.push(&condition, [Value::SmallInt(partition)]);
    }
    query.push(" order by a.account_id limit ?", [Value::BigInt(limit)]);
    Ok(on_backend!(conn, |c| query.statement::<accounts::SqlType>().load(c))?)
}

/// Adds accounts.
pub(crate) fn insert(conn: &mut Conn<'_>, partition: i16, rows: &[&AccountRow]) -> Result<usize, DbError> {
    struct InsertAccounts;
    impl StatementId for InsertAccounts {}
    Ok(match conn {
        Conn::Postgres(c) => with_columns(partition, rows, |values| {
            Statement::<_>::new(InsertAccounts, include_str!("accounts_insert.sql"), values).execute(*c)
        })?,
        Conn::Sqlite(c) => {
            let mut inserted = 0;
            for row in rows {
                inserted += diesel::insert_into(accounts::table).values(*row).execute(*c)?;
            }
            inserted
        }
    })
}

/// Replaces accounts; none may be named twice.
pub(crate) fn update(conn: &mut Conn<'_>, partition: i16, rows: &[&AccountRow]) -> Result<usize, DbError> {
    struct UpdateAccounts;
    impl StatementId for UpdateAccounts {}
    Ok(match conn {
        Conn::Postgres(c) => with_columns(partition, rows, |values| {
            Statement::<_>::new(UpdateAccounts, include_str!("accounts_update.sql"), values).execute(*c)
        })?,
        Conn::Sqlite(c) => {
            let mut updated = 0;
            for row in rows {
                updated += diesel::update(accounts::table.find((partition, row.account))).set(*row).execute(*c)?;
            }
            updated
        }
    })
}

/// The rows column by column, as both statements on PostgreSQL take them.
fn with_columns<T>(partition: i16, rows: &[&AccountRow], run: impl FnOnce(&[Value<'_>]) -> T) -> T {
    macro_rules! columns {
        ($($name:ident: $get:expr;)*) => { $(let $name = column(rows, $get);)* };
    }
    columns! {
        account: |row| row.account;
        account_id: |row| row.account_id.as_str();
        customer_id: |row| row.customer_id.as_str();
        currency: |row| row.currency.as_str();
        time_zone: |row| row.time_zone.as_str();
        locale: |row| row.locale.as_str();
        state: |row| row.state;
        billing_mode: |row| row.billing_mode;
        credit_limit: |row| row.credit_limit;
        payment_terms_days: |row| row.payment_terms_days;
        policy_id: |row| row.policy_id.as_deref();
        display_name: |row| row.display_name.as_deref();
        billing_details: |row| row.billing_details.as_deref();
        metadata: |row| row.metadata.as_deref();
        secret: |row| row.secret.as_deref();
        version: |row| row.version;
        created_at: |row| row.created_at;
        updated_at: |row| row.updated_at;
    }
    run(&[
        Value::BigInts(&account),
        Value::Texts(&account_id),
        Value::Texts(&customer_id),
        Value::Texts(&currency),
        Value::Texts(&time_zone),
        Value::Texts(&locale),
        Value::SmallInts(&state),
        Value::SmallInts(&billing_mode),
        Value::BigInts(&credit_limit),
        Value::MaybeIntegers(&payment_terms_days),
        Value::MaybeTexts(&policy_id),
        Value::MaybeTexts(&display_name),
        Value::MaybeTexts(&billing_details),
        Value::MaybeTexts(&metadata),
        Value::MaybeBinaries(&secret),
        Value::BigInts(&version),
        Value::BigInts(&created_at),
        Value::BigInts(&updated_at),
        Value::SmallInt(partition),
    ])
}
