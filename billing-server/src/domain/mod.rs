//! The rules, pure: no clock, no database, no network. What must happen is written in them and nowhere else.

pub mod instant;
pub mod rounding;
pub mod money;
pub mod currency;
pub mod calendar;
pub mod identifier;
pub mod split;
pub mod tax;
pub mod reason;
pub mod amounts;
pub mod record;
pub mod head;
pub mod accounts;
pub mod ledger;
pub mod holds;
pub mod recurrence;
pub mod proration;
pub mod invoice;
pub mod settlement;
pub mod subscription;
pub mod policy;
pub mod access;
pub mod promise;
pub mod timeline;
