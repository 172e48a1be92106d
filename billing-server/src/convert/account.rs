//! Accounts.

use std::collections::BTreeMap;

use billing_db::AccountRow;
use billing_db::accounts::AccountFilter;
use billing_proto::v1;

use super::operation;
use super::page::Query;
use super::violations::Violations;
use super::{money, text, time};
use crate::domain::accounts::{BillingMode, Create, State, etag_of};
use crate::domain::calendar::TimeZone;
use crate::domain::currency::Currency;
use crate::domain::identifier;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::{BillingDetails, Details, Kind};
use crate::engine::command::{Body, Command};
use crate::engine::record::Record;
use crate::engine::seal;
use crate::status;

/// The longest display name, in characters.
pub const MAX_NAME: usize = 200;
/// The most days from the issue of an invoice to its due date.
pub const MAX_TERMS_DAYS: i32 = 365;
/// The language of an account that names none.
pub const DEFAULT_LOCALE: &str = "en";

/// The command that opens an account.
///
/// # Errors
/// All violations of its shape.
pub fn create(request: v1::CreateAccountRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::optional_id(&mut found, "account_id", request.account_id);
    let customer_id = text::id(&mut found, "customer_id", request.customer_id);
    let display_name = text::text(&mut found, "display_name", request.display_name, MAX_NAME);
    let currency = money::currency(&mut found, "currency_code", &request.currency_code);
    let time_zone = time_zone(&mut found, "time_zone", &request.time_zone);
    let locale = locale(&mut found, "locale", request.locale);
    let billing_mode = billing_mode(&mut found, "billing_mode", request.billing_mode);
    let credit_limit = money::optional_not_negative(&mut found, "credit_limit", request.credit_limit);
    let (credit_limit, limit_currency) = credit_limit.unwrap_or_default();
    check_currency(&mut found, currency, limit_currency);
    check_terms(&mut found, "payment_terms_days", request.payment_terms_days);
    let policy_id = text::optional_id(&mut found, "policy_id", request.policy_id);
    let billing_details = request.billing_details.map(|wire| billing_details(&mut found, "billing_details", wire));
    let metadata = text::metadata(&mut found, "metadata", request.metadata);
    let key = match account_id {
        Some(_) => text::optional_key(&mut found, request.idempotency_key),
        None => text::key(&mut found, request.idempotency_key),
    };
    let currency = found.finish_with(currency)?;
    // Made from the key, so that a repetition finds the account that it opened.
    let account_id = account_id.unwrap_or_else(|| made_of(key.as_deref().unwrap_or_default()));
    let create = Create {
        customer_id,
        currency,
        time_zone,
        locale,
        billing_mode,
        credit_limit,
        payment_terms_days: request.payment_terms_days,
        policy_id,
        details: Details {
            metadata,
            display_name,
            billing_details: billing_details.filter(|details| *details != BillingDetails::default()),
            hold: None,
        },
    };
    Ok(operation::command(account_id, key, Body::CreateAccount(Box::new(create)), false))
}

fn made_of(key: &str) -> String {
    let digest = seal::hex(&seal::key_hash("", key));
    format!("acc-{}", digest.get(..20).unwrap_or_default())
}

fn check_currency(found: &mut Violations, account: Option<Currency>, limit: Option<Currency>) {
    if let (Some(account), Some(limit)) = (account, limit)
        && account != limit
    {
        let description = format!("The account's currency is {account}, not {limit}.");
        let metadata: [(&str, &dyn std::fmt::Display); 2] = [("expected", &account), ("found", &limit)];
        found.add_with(Reason::CurrencyMismatch, "credit_limit.currency_code", description, &metadata);
    }
}

/// A time zone; UTC if it is empty.
pub(super) fn time_zone(found: &mut Violations, field: &str, name: &str) -> TimeZone {
    if name.is_empty() {
        return TimeZone::UTC;
    }
    TimeZone::parse(name).unwrap_or_else(|| {
        let description = format!("{field} is a name of the IANA time zone database, such as Europe/Moscow.");
        found.add_with(Reason::TimeZoneUnknown, field, description, &[("time_zone", &text::excerpt(name))]);
        TimeZone::UTC
    })
}

/// A language tag; English if it is empty.
pub(super) fn locale(found: &mut Violations, field: &str, tag: String) -> String {
    if tag.is_empty() {
        return DEFAULT_LOCALE.to_owned();
    }
    if !identifier::is_locale(&tag) {
        let description = format!("{field} is a BCP 47 language tag, such as ru or en-GB.");
        found.add_with(Reason::LocaleUnknown, field, description, &[("locale", &text::excerpt(&tag))]);
    }
    tag
}

/// How the client pays; in advance if it is not said.
pub(super) fn billing_mode(found: &mut Violations, field: &str, number: i32) -> BillingMode {
    match v1::BillingMode::try_from(number) {
        Ok(v1::BillingMode::Unspecified | v1::BillingMode::Prepaid) => BillingMode::Prepaid,
        Ok(v1::BillingMode::Postpaid) => BillingMode::Postpaid,
        Err(_) => {
            found.add_unknown_value(field, number);
            BillingMode::Prepaid
        }
    }
}

/// Notes terms of payment outside their limits.
pub(super) fn check_terms(found: &mut Violations, field: &str, days: Option<i32>) {
    if days.is_some_and(|days| !(0..=MAX_TERMS_DAYS).contains(&days)) {
        found.add_out_of_range(field, 0, i64::from(MAX_TERMS_DAYS));
    }
}

/// Who is billed.
pub(super) fn billing_details(found: &mut Violations, field: &str, wire: v1::BillingDetails) -> BillingDetails {
    for (name, text, max) in [
        ("legal_name", &wire.legal_name, MAX_NAME),
        ("tax_id", &wire.tax_id, 64),
        ("registration_code", &wire.registration_code, 64),
        ("vat_id", &wire.vat_id, 64),
        ("address", &wire.address, 1000),
        ("email", &wire.email, 254),
    ] {
        // The path is needed for a violation only, and there is hardly ever one.
        if text.len() > max || text.contains('\0') {
            text::check_text(found, &format!("{field}.{name}"), text, max);
        }
    }
    let is_code = wire.country.len() == 2 && wire.country.bytes().all(|byte| byte.is_ascii_uppercase());
    if !wire.country.is_empty() && !is_code {
        let field = format!("{field}.country");
        found.add(Reason::FieldMalformed, &field, format!("{field} is two capital letters of ISO 3166-1, such as RU."));
    }
    BillingDetails {
        legal_name: wire.legal_name,
        tax_id: wire.tax_id,
        registration_code: wire.registration_code,
        vat_id: wire.vat_id,
        address: wire.address,
        country: wire.country,
        email: wire.email,
    }
}

/// Which accounts a list holds, and whether any can: the tokens of the list are bound to it.
pub fn filter(found: &mut Violations, request: &v1::ListAccountsRequest) -> (AccountFilter, bool, Query) {
    let metadata: BTreeMap<_, _> = text::metadata(found, "metadata", request.metadata.clone());
    let state = match v1::AccountState::try_from(request.state) {
        Ok(v1::AccountState::Unspecified) => None,
        Ok(state) => i16::try_from(i32::from(state)).ok(),
        Err(_) => {
            found.add_unknown_value("state", request.state);
            None
        }
    };
    let access = v1::AccessState::try_from(request.access_state);
    if access.is_err() {
        found.add_unknown_value("access_state", request.access_state);
    }
    let filter = AccountFilter {
        customer_id: text::optional_id(found, "customer_id", request.customer_id.clone()),
        state,
        has_debt: request.has_debt,
        text: text::text(found, "text", request.text.clone(), text::MAX_SEARCH),
        metadata: metadata.into_iter().collect(),
        policy_id: text::optional_id(found, "policy_id", request.policy_id.clone()),
    };
    let query = Query::of("accounts", &[format!("{filter:?} {}", request.access_state).as_bytes()]);
    // Suspension does not exist yet.
    (filter, access != Ok(v1::AccessState::Suspended), query)
}

/// The account right after a row about it.
///
/// # Errors
/// `INTERNAL` for a row that is about no account's settings.
pub fn of_record(record: &Record) -> Result<v1::Account, Refusal> {
    let (Some(settings), Some(identity)) = (record.payload().account, &record.identity) else {
        return Err(status::fault(format!("row {} tells no account", record.row.position)));
    };
    let details = record.texts().details;
    Ok(v1::Account {
        account_id: identity.account_id.clone(),
        customer_id: settings.customer_id,
        display_name: details.display_name.unwrap_or_default(),
        currency_code: settings.currency.code().to_owned(),
        time_zone: settings.time_zone.name().to_owned(),
        locale: settings.locale,
        state: settings.state as i32,
        billing_mode: settings.billing_mode as i32,
        credit_limit: Some(money::to_wire(settings.credit_limit, settings.currency)),
        payment_terms_days: settings.payment_terms_days,
        policy_id: settings.policy_id.unwrap_or_default(),
        billing_details: details.billing_details.map(details_to_wire),
        metadata: details.metadata.into_iter().collect(),
        create_time: Some(time::to_wire(settings.created_at)),
        update_time: Some(time::to_wire(settings.updated_at)),
        etag: etag_of(record.row.sequence),
        anonymize_time: (record.kind == Kind::AccountAnonymized).then(|| time::to_wire(settings.updated_at)),
    })
}

/// The account that a row of the table tells.
///
/// # Errors
/// `INTERNAL` for a row that this version cannot read.
pub fn of_row(row: AccountRow) -> Result<v1::Account, Refusal> {
    let broken = |what: &str| status::fault(format!("{what} of account {} cannot be read", row.account_id));
    let currency = Currency::parse(&row.currency).ok_or_else(|| broken("the currency"))?;
    let state = State::from_number(row.state).ok_or_else(|| broken("the state"))?;
    let billing_mode = BillingMode::from_number(row.billing_mode).ok_or_else(|| broken("the billing mode"))?;
    let details = row.billing_details.as_deref().map(serde_json::from_str).transpose();
    let details: Option<BillingDetails> = details.map_err(|_| broken("the billing details"))?;
    let metadata = row.metadata.as_deref().map(serde_json::from_str).transpose();
    let metadata = metadata.map_err(|_| broken("the metadata"))?;
    let updated_at = Some(time::to_wire(Instant::from_micros(row.updated_at)));
    Ok(v1::Account {
        account_id: row.account_id,
        customer_id: row.customer_id,
        display_name: row.display_name.unwrap_or_default(),
        currency_code: row.currency,
        time_zone: row.time_zone,
        locale: row.locale,
        state: state as i32,
        billing_mode: billing_mode as i32,
        credit_limit: Some(money::to_wire(Money::from_micros(row.credit_limit), currency)),
        payment_terms_days: row.payment_terms_days,
        policy_id: row.policy_id.unwrap_or_default(),
        billing_details: details.map(details_to_wire),
        metadata: metadata.unwrap_or_default(),
        create_time: Some(time::to_wire(Instant::from_micros(row.created_at))),
        update_time: updated_at,
        etag: etag_of(row.version),
        // The secret goes with the data, and nothing changes in an erased account any more.
        anonymize_time: updated_at.filter(|_| row.secret.is_none()),
    })
}

fn details_to_wire(details: BillingDetails) -> v1::BillingDetails {
    v1::BillingDetails {
        legal_name: details.legal_name,
        tax_id: details.tax_id,
        registration_code: details.registration_code,
        vat_id: details.vat_id,
        address: details.address,
        country: details.country,
        email: details.email,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> v1::CreateAccountRequest {
        v1::CreateAccountRequest {
            account_id: "acme-1".to_owned(),
            customer_id: "acme".to_owned(),
            currency_code: "RUB".to_owned(),
            ..v1::CreateAccountRequest::default()
        }
    }

    fn violations(request: v1::CreateAccountRequest) -> Vec<(String, String)> {
        let violations = create(request).err().map(|refusal| refusal.violations).unwrap_or_default();
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    #[test]
    fn an_account_without_an_id_needs_a_key_and_gets_its_id_from_it() {
        let unnamed = v1::CreateAccountRequest { account_id: String::new(), ..request() };
        let required = [("idempotency_key".to_owned(), "FIELD_REQUIRED".to_owned())];
        assert_eq!(violations(unnamed.clone()), required);
        let made = |key: &str| {
            let request = v1::CreateAccountRequest { idempotency_key: key.to_owned(), ..unnamed.clone() };
            create(request).map(|command| command.account_id).unwrap_or_default()
        };
        assert_eq!(made("k1"), made("k1"));
        assert_ne!(made("k1"), made("k2"));
        assert!(identifier::is_identifier(&made("k1")) && made("k1").len() == 24);
    }

    #[test]
    fn all_violations_of_an_account_are_told() {
        let wrong = v1::CreateAccountRequest {
            account_id: "a b".to_owned(),
            time_zone: "Mars".to_owned(),
            locale: "x".to_owned(),
            billing_mode: 9,
            credit_limit: Some(v1::Money { value: "-1".to_owned(), currency_code: "EUR".to_owned() }),
            payment_terms_days: Some(366),
            billing_details: Some(v1::BillingDetails { country: "ru".to_owned(), ..v1::BillingDetails::default() }),
            ..request()
        };
        let expected = [
            ("account_id", "ID_MALFORMED"),
            ("time_zone", "TIME_ZONE_UNKNOWN"),
            ("locale", "LOCALE_UNKNOWN"),
            ("billing_mode", "ENUM_VALUE_UNKNOWN"),
            ("credit_limit.value", "FIELD_OUT_OF_RANGE"),
            ("credit_limit.currency_code", "CURRENCY_MISMATCH"),
            ("payment_terms_days", "FIELD_OUT_OF_RANGE"),
            ("billing_details.country", "FIELD_MALFORMED"),
        ];
        assert_eq!(violations(wrong), expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())));
    }
}
