//! The currencies that an account can be kept in: those of ISO 4217 that are money.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A currency of ISO 4217. In JSON it is its code (`"EUR"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Currency(iso_currency::Currency);

/// The text is no code of a currency (`CURRENCY_UNKNOWN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is an ISO 4217 code of three capital letters such as \"EUR\"")]
pub struct UnknownCurrency;

impl Currency {
    /// Reads a code of exactly three capital letters.
    ///
    /// `None` for a code that ISO 4217 does not list, and for those of it that are no money one can owe: metals (`XAU`,
    /// `XAG`, `XPD`, `XPT`), units of account (`XDR`, `XUA`, `XSU`, `XAD`, `XBA`–`XBD`), testing (`XTS`) and "no
    /// currency" (`XXX`). They have no minor unit to round to. The francs and guilders that also begin with X (`XAF`,
    /// `XOF`, `XPF`, `XCD`, `XCG`) are money, and so are the currencies that another has replaced (`HRK`): old accounts
    /// are kept in them.
    pub fn parse(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        let is_money = !currency.is_special() && currency.exponent().is_some();
        is_money.then_some(Self(currency))
    }

    /// The three capital letters of ISO 4217.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Fraction digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD, 4 for CLF.
    pub fn minor_digits(self) -> u32 {
        // What has no exponent is refused by `parse`.
        self.0.exponent().map_or(0, u32::from)
    }
}

/// The code.
impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl From<Currency> for &'static str {
    fn from(currency: Currency) -> Self {
        currency.code()
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        Self::parse(&code).ok_or(UnknownCurrency)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn money_has_its_minor_digits() {
        for (code, digits) in [
            ("EUR", 2),
            ("RUB", 2),
            ("USD", 2),
            ("JPY", 0),
            ("KRW", 0),
            ("KWD", 3),
            ("TND", 3),
            ("CLF", 4),
            ("UYW", 4),
            ("XAF", 0),
            ("XOF", 0),
            ("XPF", 0),
            ("XCD", 2),
            ("XCG", 2),
            ("HRK", 2),
        ] {
            let currency = Currency::parse(code).unwrap();
            assert_eq!((currency.code(), currency.minor_digits()), (code, digits));
            assert_eq!(currency.to_string(), code);
        }
    }

    #[test]
    fn what_is_no_money_is_unknown() {
        for code in ["", "eur", "Eur", "EU", "EURO", " EUR", "ZZZ", "АБВ", "978", "ЕU"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
        for code in ["XXX", "XTS", "XAU", "XAG", "XPD", "XPT", "XDR", "XUA", "XSU", "XAD", "XBA", "XBB", "XBC", "XBD"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    #[test]
    fn json_holds_the_code() {
        let euro = Currency::parse("EUR").unwrap();
        assert_eq!(serde_json::to_string(&euro).unwrap(), "\"EUR\"");
        assert_eq!(serde_json::from_str::<Currency>("\"EUR\"").unwrap(), euro);
        assert!(serde_json::from_str::<Currency>("\"XXX\"").is_err());
    }
}
