//! Amounts of requests.

use billing_proto::v1;
use rust_decimal::Decimal;

use crate::error::Malformed;
use crate::wire::{decimal, non_empty};

/// An exact amount, and its currency when it is named.
///
/// Requests take anything that becomes one: a bare [`Decimal`] means the currency of the account; a named currency is
/// checked by the service, which refuses another one than the account's with `CURRENCY_MISMATCH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Money {
    /// How much: at most 6 fraction digits, within plus or minus 9,000,000,000,000.
    pub amount: Decimal,
    /// The ISO 4217 code. Absent: the currency of the account.
    pub currency: Option<String>,
}

impl Money {
    /// An amount of a named currency.
    pub fn new(amount: Decimal, currency: impl Into<String>) -> Self {
        Self { amount, currency: Some(currency.into()) }
    }
}

impl From<Decimal> for Money {
    fn from(amount: Decimal) -> Self {
        Self { amount, currency: None }
    }
}

impl From<Money> for v1::Money {
    fn from(money: Money) -> Self {
        Self { value: money.amount.normalize().to_string(), currency_code: money.currency.unwrap_or_default() }
    }
}

impl TryFrom<v1::Money> for Money {
    type Error = Malformed;

    fn try_from(money: v1::Money) -> Result<Self, Malformed> {
        Ok(Self { amount: decimal("money.value", &money.value)?, currency: non_empty(money.currency_code) })
    }
}

/// The wire form of an amount of a request.
pub(crate) fn to_wire(money: impl Into<Money>) -> v1::Money {
    money.into().into()
}

#[cfg(test)]
mod tests {
    use billing_proto::v1;
    use rust_decimal::Decimal;

    use super::Money;

    #[test]
    fn amounts_travel_as_plain_decimals() {
        for (amount, text) in [
            (Decimal::new(150_050, 2), "1500.5"),
            (Decimal::new(-1, 6), "-0.000001"),
            (Decimal::new(9_000_000_000_000, 0), "9000000000000"),
            (Decimal::new(-0, 2), "0"),
            (Decimal::new(1_000, 0), "1000"),
        ] {
            assert_eq!(v1::Money::from(Money::from(amount)).value, text);
        }
        assert_eq!(v1::Money::from(Money::new(Decimal::ONE, "RUB")).currency_code, "RUB");
    }

    #[test]
    fn money_goes_there_and_back() {
        let money = Money::new(Decimal::new(150_050, 2), "EUR");
        assert_eq!(Money::try_from(v1::Money::from(money.clone())), Ok(money));
    }
}
