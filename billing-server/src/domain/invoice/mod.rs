//! Invoices: numbered demands for payment ("Invoices" in `rules.md`).
//!
//! Lines and discounts ([`mod@line`], [`mod@discount`]) give totals ([`mod@totals`]); those are cut into the entries that
//! issuing posts ([`mod@parts`]). The invoice itself ([`mod@state`]) changes by its transitions ([`mod@transition`],
//! [`mod@credit`]), and its number comes from a series ([`mod@series`]). Who pays what is decided in
//! [`super::settlement`].

pub mod discount;
pub mod line;
pub mod totals;
pub mod parts;
pub mod series;
pub mod state;
pub mod transition;
pub mod credit;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod simulation;

pub use credit::{Credited, Crediting};
pub use discount::Discount;
pub use line::{Basis, BilledCharge, Line, PostedCharge, TaxRate, billing};
pub use parts::{Part, parts};
pub use series::{NextNumber, Reset, Series};
pub use state::{Action, Content, DocumentState, Invoice, InvoiceType, PaymentState};
pub use totals::{LineTotals, Pricing, TaxMode, TaxRounding, TaxTotal, Totals, totals};
pub use transition::{Due, MAX_LINES};
