//! Changes of accounts: the fields that a mask names.

use billing_proto::v1;

use super::violations::Violations;
use super::{account, money, operation, text};
use crate::domain::accounts::{BillingDetailsChange, Update};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::command::{Body, Command};

/// Fields of an account that an update never changes.
const IMMUTABLE: [&str; 8] =
    ["account_id", "customer_id", "currency_code", "state", "create_time", "update_time", "etag", "anonymize_time"];

/// Fields of the billing details, as a mask names them.
const DETAILS: [&str; 7] = ["legal_name", "tax_id", "registration_code", "vat_id", "address", "country", "email"];

/// A change of an account as it was asked for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The command.
    pub command: Command,
    /// The customer that a request without a mask names: it must be the account's.
    pub customer_id: Option<String>,
    /// The currency that a request without a mask names: it must be the account's.
    pub currency_code: Option<String>,
}

impl Change {
    /// The update in the command.
    pub fn update(&mut self) -> Option<&mut Update> {
        match &mut self.command.body {
            Body::UpdateAccount(update) => Some(update),
            _ => None,
        }
    }
}

/// The command that changes an account.
///
/// # Errors
/// All violations of its shape.
pub fn read(request: v1::UpdateAccountRequest) -> Result<Change, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    if request.account.is_none() {
        found.add_required("account");
    }
    let wire = request.account.unwrap_or_default();
    if !wire.account_id.is_empty() && wire.account_id != account_id {
        let description = "account.account_id is empty or the account_id of the request.";
        found.add_with(Reason::FieldConflict, "account.account_id", description, &[("other_field", &"account_id")]);
    }
    let mask = request.update_mask.map(|mask| mask.paths).filter(|paths| !paths.is_empty());
    let named = |name: &String| Some(name.clone()).filter(|name| !name.is_empty() && mask.is_none());
    let (customer_id, currency_code) = (named(&wire.customer_id), named(&wire.currency_code));
    let paths = match mask {
        Some(paths) => paths,
        None => set_fields(&wire).into_iter().map(str::to_owned).collect(),
    };
    check_paths(&mut found, &paths);
    let mut update = values(&mut found, &paths, wire);
    update.allow_below_use = request.allow_below_use;
    update.etag = Some(request.etag).filter(|etag| !etag.is_empty());
    let key = text::optional_key(&mut found, request.idempotency_key);
    found.finish()?;
    let command = operation::command(account_id, key, Body::UpdateAccount(Box::new(update)), false);
    Ok(Change { command, customer_id, currency_code })
}

/// The fields that a request without a mask changes: all that are set.
fn set_fields(wire: &v1::Account) -> Vec<&'static str> {
    let fields = [
        ("display_name", !wire.display_name.is_empty()),
        ("time_zone", !wire.time_zone.is_empty()),
        ("locale", !wire.locale.is_empty()),
        ("billing_mode", wire.billing_mode != 0),
        ("credit_limit", wire.credit_limit.is_some()),
        ("payment_terms_days", wire.payment_terms_days.is_some()),
        ("policy_id", !wire.policy_id.is_empty()),
        ("billing_details", wire.billing_details.is_some()),
        ("metadata", !wire.metadata.is_empty()),
    ];
    fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}

/// Notes what no mask may name.
fn check_paths(found: &mut Violations, paths: &[String]) {
    const MUTABLE: [&str; 9] = [
        "display_name",
        "time_zone",
        "locale",
        "billing_mode",
        "credit_limit",
        "payment_terms_days",
        "policy_id",
        "billing_details",
        "metadata",
    ];
    for path in paths {
        if path.strip_prefix("billing_details.").is_some_and(|name| DETAILS.contains(&name)) {
            continue;
        }
        if IMMUTABLE.contains(&path.as_str()) {
            found.add(
                Reason::FieldImmutable,
                &format!("account.{path}"),
                format!("{path} is not changed by an update."),
            );
        } else if !MUTABLE.contains(&path.as_str()) {
            let shown = text::excerpt(path);
            let description = format!("An account has no field {shown} that an update could change.");
            found.add_with(Reason::UpdateMaskInvalid, "update_mask", description, &[("path", &shown)]);
        }
    }
}

/// The new values of the fields named; what is named and not set gets its default.
fn values(found: &mut Violations, paths: &[String], wire: v1::Account) -> Update {
    let names = |field: &str| paths.iter().any(|path| path == field);
    let mut update = Update::default();
    if names("display_name") {
        update.display_name = Some(text::text(found, "account.display_name", wire.display_name, account::MAX_NAME));
    }
    if names("time_zone") {
        update.time_zone = Some(account::time_zone(found, "account.time_zone", &wire.time_zone));
    }
    if names("locale") {
        update.locale = Some(account::locale(found, "account.locale", wire.locale));
    }
    if names("billing_mode") {
        update.billing_mode = Some(account::billing_mode(found, "account.billing_mode", wire.billing_mode));
    }
    if names("credit_limit") {
        let limit = money::optional_not_negative(found, "account.credit_limit", wire.credit_limit);
        let (limit, currency) = limit.unwrap_or_default();
        update.credit_limit = Some(limit);
        update.credit_limit_currency = currency;
    }
    if names("payment_terms_days") {
        account::check_terms(found, "account.payment_terms_days", wire.payment_terms_days);
        update.payment_terms_days = Some(wire.payment_terms_days);
    }
    if names("policy_id") {
        update.policy_id = Some(text::optional_id(found, "account.policy_id", wire.policy_id));
    }
    if paths.iter().any(|path| path.starts_with("billing_details")) {
        let details = wire.billing_details.unwrap_or_default();
        let given = account::billing_details(found, "account.billing_details", details);
        let detail = |part: &str, value| {
            let is_named = names("billing_details") || names(&format!("billing_details.{part}"));
            is_named.then_some(value)
        };
        update.billing_details = BillingDetailsChange {
            legal_name: detail("legal_name", given.legal_name),
            tax_id: detail("tax_id", given.tax_id),
            registration_code: detail("registration_code", given.registration_code),
            vat_id: detail("vat_id", given.vat_id),
            address: detail("address", given.address),
            country: detail("country", given.country),
            email: detail("email", given.email),
        };
    }
    if names("metadata") {
        update.metadata = Some(text::metadata(found, "account.metadata", wire.metadata));
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(account: v1::Account, paths: &[&str]) -> v1::UpdateAccountRequest {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        v1::UpdateAccountRequest {
            account_id: "acme-1".to_owned(),
            account: Some(account),
            update_mask: Some(prost_types::FieldMask { paths }),
            ..v1::UpdateAccountRequest::default()
        }
    }

    fn update(account: v1::Account, paths: &[&str]) -> Result<Update, Vec<(String, String)>> {
        let change = read(request(account, paths));
        change.map(|mut change| change.update().cloned().unwrap_or_default()).map_err(|refusal| {
            refusal.violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
        })
    }

    #[test]
    fn without_a_mask_the_fields_that_are_set_change() {
        let account = v1::Account { locale: "ru".to_owned(), ..v1::Account::default() };
        let expected = Update { locale: Some("ru".to_owned()), ..Update::default() };
        assert_eq!(update(account, &[]), Ok(expected));
    }

    #[test]
    fn a_field_that_is_named_and_not_set_gets_its_default() {
        let changed = update(v1::Account::default(), &["display_name", "locale", "payment_terms_days"]);
        let expected = Update {
            display_name: Some(None),
            locale: Some("en".to_owned()),
            payment_terms_days: Some(None),
            ..Update::default()
        };
        assert_eq!(changed, Ok(expected));
    }

    #[test]
    fn masks_name_fields_that_can_change() {
        for (path, field, reason) in [
            ("currency_code", "account.currency_code", "FIELD_IMMUTABLE"),
            ("state", "account.state", "FIELD_IMMUTABLE"),
            ("nonsense", "update_mask", "UPDATE_MASK_INVALID"),
            ("billing_details.nonsense", "update_mask", "UPDATE_MASK_INVALID"),
            ("*", "update_mask", "UPDATE_MASK_INVALID"),
        ] {
            let refused = update(v1::Account::default(), &[path]);
            assert_eq!(refused, Err(vec![(field.to_owned(), reason.to_owned())]), "{path}");
        }
    }

    #[test]
    fn single_billing_details_change_and_the_others_stay() {
        let details = v1::BillingDetails { email: "new@example.org".to_owned(), ..v1::BillingDetails::default() };
        let account = v1::Account { billing_details: Some(details), ..v1::Account::default() };
        let change = read(request(account, &["billing_details.email", "billing_details.tax_id"]));
        let changed = change.map(|mut change| change.update().map(|update| update.billing_details.clone()));
        let expected = BillingDetailsChange {
            tax_id: Some(String::new()),
            email: Some("new@example.org".to_owned()),
            ..BillingDetailsChange::default()
        };
        assert_eq!(changed, Ok(Some(expected)));
    }
}
