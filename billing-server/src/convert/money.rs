//! Amounts and currencies.

use billing_proto::v1;

use super::text::excerpt;
use super::violations::Violations;
use crate::domain::currency::Currency;
use crate::domain::identifier;
use crate::domain::ledger;
use crate::domain::money::{Money, MoneyError};
use crate::domain::reason::Reason;
use crate::domain::record::Tax;

/// An amount with the currency it was given in, if it was.
pub type Given = (Money, Option<Currency>);

/// An amount above zero that must be given.
pub fn positive(violations: &mut Violations, field: &str, money: Option<v1::Money>) -> Given {
    if money.is_none() {
        violations.add_required(field);
    }
    optional_positive(violations, field, money).unwrap_or_default()
}

/// An amount above zero that may be left out.
pub fn optional_positive(violations: &mut Violations, field: &str, money: Option<v1::Money>) -> Option<Given> {
    let money = money?;
    let currency = optional_currency(violations, field, &money.currency_code);
    let amount = parse(violations, field, &money.value)?;
    if !amount.is_positive() {
        violations.add(Reason::AmountNotPositive, &value_of(field), format!("{field} must be above zero."));
    }
    Some((amount, currency))
}

/// An amount of zero or more that may be left out.
pub fn optional_not_negative(violations: &mut Violations, field: &str, money: Option<v1::Money>) -> Option<Given> {
    let money = money?;
    let currency = optional_currency(violations, field, &money.currency_code);
    let amount = parse(violations, field, &money.value)?;
    if amount.is_negative() {
        let description = format!("{field} must be zero or more.");
        let max = Money::MAX;
        violations.add_with(Reason::FieldOutOfRange, &value_of(field), description, &[("min", &0), ("max", &max)]);
    }
    Some((amount, currency))
}

fn parse(violations: &mut Violations, field: &str, value: &str) -> Option<Money> {
    if value.is_empty() {
        violations.add_required(&value_of(field));
        return None;
    }
    let error = match Money::parse(value) {
        Ok(amount) => return Some(amount),
        Err(error) => error,
    };
    let reason = match error {
        MoneyError::Malformed => Reason::AmountMalformed,
        MoneyError::TooPrecise => Reason::AmountTooPrecise,
        MoneyError::OutOfRange => Reason::AmountOutOfRange,
    };
    violations.add(reason, &value_of(field), format!("{field}: {error}."));
    None
}

fn value_of(field: &str) -> String {
    format!("{field}.value")
}

fn optional_currency(violations: &mut Violations, field: &str, code: &str) -> Option<Currency> {
    if code.is_empty() { None } else { currency(violations, &format!("{field}.currency_code"), code) }
}

/// A currency that must be given.
pub fn currency(violations: &mut Violations, field: &str, code: &str) -> Option<Currency> {
    if code.is_empty() {
        violations.add_required(field);
        return None;
    }
    let currency = Currency::parse(code);
    if currency.is_none() {
        let description = format!("{field} is an ISO 4217 code of three capital letters, such as EUR.");
        violations.add_with(Reason::CurrencyUnknown, field, description, &[("currency_code", &excerpt(code))]);
    }
    currency
}

/// The tax contained in `amount`, and the currency it was given in.
pub fn tax(
    violations: &mut Violations,
    tax: Option<v1::Tax>,
    amount: Option<Money>,
) -> Option<(Tax, Option<Currency>)> {
    let tax = tax?;
    if tax.code.is_empty() {
        violations.add_required("tax.code");
    } else if !identifier::is_counter_account(&format!("tax:{}", tax.code)) {
        let description = "tax.code is 1 to 60 characters of a-z 0-9 _ . : and -.";
        violations.add(Reason::FieldMalformed, "tax.code", description);
    }
    let rate_percent = rate(violations, &tax.rate_percent);
    if tax.amount.is_none() {
        violations.add_required("tax.amount");
    }
    let (contained, currency) = optional_not_negative(violations, "tax.amount", tax.amount)?;
    let tax = Tax { code: tax.code, rate_percent, amount: contained };
    if let Some(amount) = amount
        && ledger::check_tax(Some(&tax), amount).is_err()
    {
        let description = format!("The tax contained ({contained}) is at most the amount ({amount}).");
        violations.add_with(Reason::TaxExceedsAmount, "tax.amount", description, &[("max", &amount)]);
    }
    Some((tax, currency))
}

/// A rate in percent, in canonical form.
fn rate(violations: &mut Violations, percent: &str) -> String {
    const FULL: Money = Money::from_micros(100_000_000);
    if percent.is_empty() {
        violations.add_required("tax.rate_percent");
        return String::new();
    }
    match Money::parse(percent) {
        Ok(rate) if !rate.is_negative() && rate <= FULL => rate.format(0),
        _ => {
            let description = "tax.rate_percent is a plain decimal between 0 and 100 with at most 6 fraction digits.";
            violations.add(Reason::TaxRateOutOfRange, "tax.rate_percent", description);
            String::new()
        }
    }
}

/// An amount as the contract writes it.
pub fn to_wire(amount: Money, currency: Currency) -> v1::Money {
    v1::Money { value: amount.format(currency.minor_digits()), currency_code: currency.code().to_owned() }
}

/// A sum over many accounts, which may be more than one account can hold.
pub fn sum_to_wire(micros: i128, currency: Currency) -> v1::Money {
    let digits = usize::try_from(currency.minor_digits()).unwrap_or(2).min(6);
    let magnitude = micros.unsigned_abs();
    let sign = if micros < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000);
    let zeros = text.bytes().rev().take(6 - digits).take_while(|&byte| byte == b'0').count();
    let kept = text.get(..text.len() - zeros).unwrap_or(&text);
    v1::Money { value: kept.trim_end_matches('.').to_owned(), currency_code: currency.code().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::Refusal;

    fn money(value: &str, code: &str) -> v1::Money {
        v1::Money { value: value.to_owned(), currency_code: code.to_owned() }
    }

    /// What `check` has noted; what it has read does not matter.
    fn found<T>(check: impl FnOnce(&mut Violations) -> T) -> Vec<(String, String)> {
        let mut violations = Violations::default();
        let _ = check(&mut violations);
        let refusal = violations.finish().err().unwrap_or_else(|| Refusal::new(Reason::Internal, ""));
        refusal.violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        for (given, field, reason) in [
            (None, "amount", "FIELD_REQUIRED"),
            (Some(money("", "")), "amount.value", "FIELD_REQUIRED"),
            (Some(money("1e3", "")), "amount.value", "AMOUNT_MALFORMED"),
            (Some(money("0.0000001", "")), "amount.value", "AMOUNT_TOO_PRECISE"),
            (Some(money("9000000000001", "")), "amount.value", "AMOUNT_OUT_OF_RANGE"),
            (Some(money("0", "")), "amount.value", "AMOUNT_NOT_POSITIVE"),
            (Some(money("-5", "")), "amount.value", "AMOUNT_NOT_POSITIVE"),
            (Some(money("5", "ABC")), "amount.currency_code", "CURRENCY_UNKNOWN"),
        ] {
            let violations = found(|violations| positive(violations, "amount", given.clone()));
            assert_eq!(violations, [(field.to_owned(), reason.to_owned())], "{given:?}");
        }
        assert!(found(|violations| positive(violations, "amount", Some(money("0.000001", "RUB")))).is_empty());
    }

    #[test]
    fn a_tax_is_checked_and_its_rate_made_canonical() {
        let given = |code: &str, rate: &str, amount: &str| {
            Some(v1::Tax { code: code.to_owned(), rate_percent: rate.to_owned(), amount: Some(money(amount, "")) })
        };
        let hundred = Some(Money::from_micros(100_000_000));
        let mut violations = Violations::default();
        let read = tax(&mut violations, given("vat20", "20.50", "100"), hundred);
        assert_eq!(read.map(|(tax, _)| tax.rate_percent), Some("20.5".to_owned()));
        assert_eq!(violations.finish(), Ok(()));
        for (tax_given, field, reason) in [
            (given("", "20", "1"), "tax.code", "FIELD_REQUIRED"),
            (given("VAT", "20", "1"), "tax.code", "FIELD_MALFORMED"),
            (given("vat", "100.1", "1"), "tax.rate_percent", "TAX_RATE_OUT_OF_RANGE"),
            (given("vat", "x", "1"), "tax.rate_percent", "TAX_RATE_OUT_OF_RANGE"),
            (given("vat", "20", "-1"), "tax.amount.value", "FIELD_OUT_OF_RANGE"),
            (given("vat", "20", "100.01"), "tax.amount", "TAX_EXCEEDS_AMOUNT"),
        ] {
            let violations = found(|violations| tax(violations, tax_given.clone(), hundred));
            assert_eq!(violations, [(field.to_owned(), reason.to_owned())], "{tax_given:?}");
        }
    }

    #[test]
    fn sums_are_written_like_amounts() {
        for (code, micros, text) in [
            ("EUR", 1_500_500_000_i128, "1500.50"),
            ("JPY", 5_000_000, "5"),
            ("EUR", -1, "-0.000001"),
            ("EUR", 0, "0.00"),
        ] {
            let written = Currency::parse(code).map(|currency| sum_to_wire(micros, currency).value);
            assert_eq!(written.as_deref(), Some(text));
        }
    }
}
