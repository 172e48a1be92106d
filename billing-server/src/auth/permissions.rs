//! The permission that each RPC needs: one table, and a test that no RPC is missing from it.

use std::fmt;

use super::principal::Role;

/// What a role may permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// No credentials are needed.
    Public,
    /// Read accounts, balances, entries and holds.
    Read,
    /// Read the entries of all accounts at once, and verify the ledger.
    Inspect,
    /// Follow the events of accounts.
    Subscribe,
    /// Follow the events of all accounts at once.
    SubscribeAll,
    /// Post payments, charges and refunds of charges; place, capture and release holds.
    Post,
    /// Post the other kinds, transfer and reverse.
    Correct,
    /// Open, change, close and reopen accounts.
    ManageAccounts,
    /// Set credit limits and policies.
    SetLimits,
    /// Close the books.
    CloseBooks,
    /// Erase personal data.
    Erase,
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Public => "public",
            Self::Read => "read",
            Self::Inspect => "inspect",
            Self::Subscribe => "subscribe",
            Self::SubscribeAll => "subscribe_all",
            Self::Post => "post",
            Self::Correct => "correct",
            Self::ManageAccounts => "manage_accounts",
            Self::SetLimits => "set_limits",
            Self::CloseBooks => "close_books",
            Self::Erase => "erase",
        })
    }
}

/// The permission of every RPC of this server.
const TABLE: &[(&str, Permission)] = &[
    ("/billing.v1.AccountService/CreateAccount", Permission::ManageAccounts),
    ("/billing.v1.AccountService/GetAccount", Permission::Read),
    ("/billing.v1.AccountService/UpdateAccount", Permission::ManageAccounts),
    ("/billing.v1.AccountService/ListAccounts", Permission::Read),
    ("/billing.v1.AccountService/CloseAccount", Permission::ManageAccounts),
    ("/billing.v1.AccountService/ReopenAccount", Permission::ManageAccounts),
    ("/billing.v1.AccountService/AnonymizeAccount", Permission::Erase),
    ("/billing.v1.BalanceService/GetBalance", Permission::Read),
    ("/billing.v1.BalanceService/BatchGetBalances", Permission::Read),
    ("/billing.v1.BalanceService/ExplainBalance", Permission::Read),
    // What an operation of a batch or of a stream needs beyond this is asked for it alone.
    ("/billing.v1.LedgerService/Post", Permission::Post),
    ("/billing.v1.LedgerService/PostBatch", Permission::Post),
    ("/billing.v1.LedgerService/PostStream", Permission::Post),
    ("/billing.v1.LedgerService/Transfer", Permission::Correct),
    ("/billing.v1.LedgerService/ReverseEntry", Permission::Correct),
    ("/billing.v1.LedgerService/PlaceHold", Permission::Post),
    ("/billing.v1.LedgerService/UpdateHold", Permission::Post),
    ("/billing.v1.LedgerService/CaptureHold", Permission::Post),
    ("/billing.v1.LedgerService/ReleaseHold", Permission::Post),
    ("/billing.v1.LedgerService/GetHold", Permission::Read),
    ("/billing.v1.LedgerService/ListHolds", Permission::Read),
    ("/billing.v1.LedgerService/GetEntry", Permission::Read),
    ("/billing.v1.LedgerService/ListEntries", Permission::Read),
    ("/billing.v1.LedgerService/FindEntries", Permission::Inspect),
    ("/billing.v1.LedgerService/CloseBooks", Permission::CloseBooks),
    ("/billing.v1.LedgerService/GetTrialBalance", Permission::Inspect),
    ("/billing.v1.LedgerService/VerifyLedger", Permission::Inspect),
    ("/billing.v1.EventService/Subscribe", Permission::Subscribe),
    ("/billing.v1.EventService/Follow", Permission::Subscribe),
    ("/grpc.health.v1.Health/Check", Permission::Public),
    ("/grpc.health.v1.Health/List", Permission::Public),
    ("/grpc.health.v1.Health/Watch", Permission::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Permission::Public),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Permission::Public),
];

/// The permission of the RPC of that path; `None` if this server has no such RPC.
pub fn of(path: &str) -> Option<Permission> {
    TABLE.iter().find(|(rpc, _)| *rpc == path).map(|(_, permission)| *permission)
}

/// Whether a role gives a permission.
pub fn gives(role: Role, permission: Permission) -> bool {
    match permission {
        Permission::Public | Permission::Read => true,
        Permission::Subscribe => role != Role::Poster,
        Permission::SubscribeAll => matches!(role, Role::Operator | Role::Admin | Role::Gateway),
        Permission::Post => matches!(role, Role::Poster | Role::Biller | Role::Operator | Role::Admin),
        Permission::ManageAccounts => matches!(role, Role::Biller | Role::Operator | Role::Admin),
        Permission::Inspect | Permission::Correct | Permission::SetLimits | Permission::CloseBooks => {
            matches!(role, Role::Operator | Role::Admin)
        }
        Permission::Erase => role == Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Every RPC of the contract, as the path that a call of it has.
    fn described() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(billing_proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
        let own = set.file.iter().filter(|file| file.package() == "billing.v1");
        own.flat_map(|file| &file.service)
            .flat_map(|service| {
                service.method.iter().map(move |rpc| format!("/billing.v1.{}/{}", service.name(), rpc.name()))
            })
            .collect()
    }

    #[test]
    fn every_rpc_of_the_contract_has_a_permission_and_no_other_has() {
        let tabled: BTreeSet<String> =
            TABLE.iter().map(|(rpc, _)| (*rpc).to_owned()).filter(|rpc| rpc.starts_with("/billing.")).collect();
        assert!(described().len() > 20);
        assert_eq!(described(), tabled);
    }

    #[test]
    fn the_contract_is_never_public() {
        for (rpc, permission) in TABLE {
            assert_eq!(*permission == Permission::Public, rpc.starts_with("/grpc."), "{rpc}");
        }
    }

    #[test]
    fn roles_permit_what_they_are_there_for() {
        for (role, permission, expected) in [
            (Role::Reader, Permission::Read, true),
            (Role::Reader, Permission::Post, false),
            (Role::Poster, Permission::Post, true),
            (Role::Poster, Permission::Correct, false),
            (Role::Biller, Permission::ManageAccounts, true),
            (Role::Biller, Permission::SetLimits, false),
            (Role::Operator, Permission::CloseBooks, true),
            (Role::Operator, Permission::Erase, false),
            (Role::Gateway, Permission::SubscribeAll, true),
            (Role::Gateway, Permission::Post, false),
            (Role::Admin, Permission::Erase, true),
        ] {
            assert_eq!(gives(role, permission), expected, "{role} {permission}");
        }
    }
}
