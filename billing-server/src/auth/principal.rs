//! Who calls.

use std::fmt;
use std::sync::Arc;

use super::permissions::{self, Permission};
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::Kind;

/// What a caller is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads.
    Reader,
    /// Posts payments and charges, and reserves money.
    Poster,
    /// Opens accounts and makes invoices, and does what a poster does.
    Biller,
    /// Corrects, sets limits, closes books and verifies.
    Operator,
    /// Everything, the erasure of personal data and the keys of others included.
    Admin,
    /// The cabinet of the clients: reads and follows all accounts.
    Gateway,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reader => "reader",
            Self::Poster => "poster",
            Self::Biller => "biller",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Gateway => "gateway",
        })
    }
}

/// Who calls: found by the layer, handed to the services in the extensions of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What the journal names them.
    pub name: Arc<str>,
    /// What they are there for.
    pub role: Role,
}

impl Principal {
    /// Whoever calls a server that asks for no credentials.
    pub fn local() -> Self {
        Self { name: Arc::from("local"), role: Role::Admin }
    }

    /// Whoever knows the static key of the settings.
    pub fn of_static_key() -> Self {
        Self { name: Arc::from("static-key"), role: Role::Admin }
    }

    /// Whether the role gives a permission.
    pub fn may(&self, permission: Permission) -> bool {
        permissions::gives(self.role, permission)
    }

    /// Refuses a call that the role does not permit.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the rpc.
    pub fn check_rpc(&self, permission: Permission, rpc: &str) -> Result<(), Refusal> {
        self.check(permission, "rpc", rpc)
    }

    /// Refuses to post a kind of entry that the role does not permit. What may not be posted at all is a matter of the
    /// shape.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the kind.
    pub fn check_kind(&self, kind: Kind) -> Result<(), Refusal> {
        match kind {
            Kind::Payment | Kind::Charge | Kind::ChargeRefund => Ok(()),
            _ => self.check(Permission::Correct, "kind", &kind.name().to_uppercase()),
        }
    }

    /// Refuses to set a field that the role does not permit.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the field.
    pub fn check_field(&self, permission: Permission, field: &str) -> Result<(), Refusal> {
        self.check(permission, "field", field)
    }

    fn check(&self, permission: Permission, what: &str, name: &str) -> Result<(), Refusal> {
        if self.may(permission) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::PermissionDenied,
            format!("The role {} does not permit the {what} {name}; it needs the permission {permission}.", self.role),
        )
        .with("permission", permission)
        .with(what, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poster_posts_payments_charges_and_refunds_only() {
        let poster = Principal { name: Arc::from("p"), role: Role::Poster };
        for kind in [Kind::Payment, Kind::Charge, Kind::ChargeRefund] {
            assert_eq!(poster.check_kind(kind), Ok(()));
        }
        for kind in [Kind::Bonus, Kind::AdjustmentCredit, Kind::AdjustmentDebit, Kind::WriteOff, Kind::Payout] {
            assert_eq!(poster.check_kind(kind).map_err(|refusal| refusal.reason), Err(Reason::PermissionDenied));
            assert_eq!(Principal::local().check_kind(kind), Ok(()));
        }
    }
}
