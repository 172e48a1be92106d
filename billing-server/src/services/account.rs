//! `AccountService`.

use billing_db::accounts;
use billing_proto::v1;
use tonic::{Request, Response, Status};
use v1::account_service_server::AccountService;

use super::{Call, find};
use crate::auth::Permission;
use crate::convert::account_update::{self, Change};
use crate::convert::violations::Violations;
use crate::convert::{self, operation, page, position, text};
use crate::domain::accounts::StateChange;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::engine::command::{Body, Command, Outcome};

/// Opens, describes, finds and closes accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    engine: Engine,
}

/// What a mutation of an account answers.
struct Changed {
    account: v1::Account,
    replayed: bool,
    position: Option<v1::JournalPosition>,
}

impl Accounts {
    /// The service over an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn change(&self, call: &Call, command: Command) -> Result<Changed, Refusal> {
        let account_id = command.account_id.clone();
        let outcome = self.engine.submit(call.sign(command), Some(call.deadline)).await?;
        self.changed(&account_id, &outcome).await
    }

    /// The account as the answer's last row tells it; a change that changed nothing has no row.
    async fn changed(&self, account_id: &str, outcome: &Outcome) -> Result<Changed, Refusal> {
        let replayed = outcome.replayed;
        if let Some(record) = outcome.rows.iter().rev().find(|record| record.payload().account.is_some()) {
            let account = convert::account::of_record(record)?;
            return Ok(Changed { account, replayed, position: Some(position::of(record)) });
        }
        let position = find::position(&self.engine, self.engine.partition_of(account_id));
        let account = convert::account::of_row(find::row(&self.engine, account_id).await?)?;
        Ok(Changed { account, replayed, position: Some(position) })
    }

    /// Without a mask, what is set is changed; so what never changes may only be set to what it is.
    async fn check_identity(&self, change: &Change) -> Result<(), Refusal> {
        if change.customer_id.is_none() && change.currency_code.is_none() {
            return Ok(());
        }
        let head = find::head(&self.engine, &change.command.account_id).await?;
        let mut found = Violations::default();
        let differs = |given: &Option<String>, own: &str| given.as_deref().is_some_and(|given| given != own);
        for (field, differs) in [
            ("account.customer_id", differs(&change.customer_id, &head.identity.customer_id)),
            ("account.currency_code", differs(&change.currency_code, head.identity.currency.code())),
        ] {
            if differs {
                found.add(Reason::FieldImmutable, field, format!("{field} never changes."));
            }
        }
        found.finish()
    }

    async fn list(&self, call: &Call, request: v1::ListAccountsRequest) -> Result<v1::ListAccountsResponse, Refusal> {
        let mut found = Violations::default();
        let (filter, any, query) = convert::account::filter(&mut found, &request);
        let page = page::page(&mut found, request.page_size, &request.page_token, query);
        found.finish()?;
        find::reach(&self.engine, call, request.min_position).await?;
        if !any {
            return Ok(v1::ListAccountsResponse::default());
        }
        let (partitions, limit, after) = (self.engine.partitions(), page.limit(), page.cursor.clone());
        let mut rows = self
            .engine
            .read(move |conn| {
                let mut rows = Vec::new();
                for partition in 0..partitions {
                    rows.extend(accounts::list(conn, find::number(partition), &filter, after.as_deref(), limit)?);
                }
                Ok(rows)
            })
            .await?;
        rows.sort_unstable_by(|a, b| a.account_id.cmp(&b.account_id));
        let next_page_token = page.cut(&mut rows, |last| last.account_id.clone());
        let accounts = rows.into_iter().map(convert::account::of_row).collect::<Result<_, _>>()?;
        Ok(v1::ListAccountsResponse { accounts, next_page_token })
    }
}

/// Opening an account with a limit or a policy needs the right to set those.
fn check_create(call: &Call, request: &v1::CreateAccountRequest) -> Result<(), Refusal> {
    if request.credit_limit.is_some() {
        call.principal.check_field(Permission::SetLimits, "credit_limit")?;
    }
    if !request.policy_id.is_empty() {
        call.principal.check_field(Permission::SetLimits, "policy_id")?;
    }
    Ok(())
}

fn check_update(call: &Call, change: &mut Change) -> Result<(), Refusal> {
    let Some(update) = change.update() else { return Ok(()) };
    if update.credit_limit.is_some() || update.allow_below_use {
        call.principal.check_field(Permission::SetLimits, "account.credit_limit")?;
    }
    if update.policy_id.is_some() {
        call.principal.check_field(Permission::SetLimits, "account.policy_id")?;
    }
    Ok(())
}

/// The fields that the operations on a whole account have in common.
struct Named {
    account_id: String,
    key: Option<String>,
    change: StateChange,
}

fn read_named(
    account_id: String,
    key: String,
    needs_key: bool,
    reason: String,
    etag: String,
) -> Result<Named, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", account_id);
    let key = if needs_key { text::key(&mut found, key) } else { text::optional_key(&mut found, key) };
    let reason = text::text(&mut found, "reason", reason, text::MAX_DESCRIPTION);
    found.finish()?;
    let etag = Some(etag).filter(|etag| !etag.is_empty());
    Ok(Named { account_id, key, change: StateChange { etag, reason } })
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        check_create(&call, &request)?;
        let Changed { account, replayed, position } = self.change(&call, convert::account::create(request)?).await?;
        Ok(Response::new(v1::CreateAccountResponse { account: Some(account), replayed, position }))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let mut found = Violations::default();
        let account_id = text::id(&mut found, "account_id", request.account_id);
        found.finish()?;
        let row = call.within(async {
            find::reach(&self.engine, &call, request.min_position).await?;
            find::row(&self.engine, &account_id).await
        });
        let account = convert::account::of_row(row.await?)?;
        Ok(Response::new(v1::GetAccountResponse { account: Some(account) }))
    }

    async fn update_account(
        &self,
        request: Request<v1::UpdateAccountRequest>,
    ) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let mut change = account_update::read(request.into_inner())?;
        check_update(&call, &mut change)?;
        self.check_identity(&change).await?;
        let Changed { account, replayed, position } = self.change(&call, change.command).await?;
        Ok(Response::new(v1::UpdateAccountResponse { account: Some(account), replayed, position }))
    }

    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let call = Call::of(&request)?;
        let response = call.within(self.list(&call, request.into_inner())).await?;
        Ok(Response::new(response))
    }

    async fn close_account(
        &self,
        request: Request<v1::CloseAccountRequest>,
    ) -> Result<Response<v1::CloseAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let wire = request.into_inner();
        let named = read_named(wire.account_id, wire.idempotency_key, true, wire.reason, wire.etag)?;
        let body = Body::CloseAccount(named.change);
        let command = operation::command(named.account_id, named.key, body, false);
        let Changed { account, replayed, position } = self.change(&call, command).await?;
        Ok(Response::new(v1::CloseAccountResponse { account: Some(account), replayed, position }))
    }

    async fn reopen_account(
        &self,
        request: Request<v1::ReopenAccountRequest>,
    ) -> Result<Response<v1::ReopenAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let wire = request.into_inner();
        let named = read_named(wire.account_id, wire.idempotency_key, false, wire.reason, wire.etag)?;
        let body = Body::ReopenAccount(named.change);
        let command = operation::command(named.account_id, named.key, body, false);
        let Changed { account, replayed, position } = self.change(&call, command).await?;
        Ok(Response::new(v1::ReopenAccountResponse { account: Some(account), replayed, position }))
    }

    async fn anonymize_account(
        &self,
        request: Request<v1::AnonymizeAccountRequest>,
    ) -> Result<Response<v1::AnonymizeAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let wire = request.into_inner();
        let named = read_named(wire.account_id, wire.idempotency_key, false, wire.reason, wire.etag)?;
        let body = Body::AnonymizeAccount(named.change);
        let command = operation::command(named.account_id, named.key, body, false);
        let Changed { account, replayed, position } = self.change(&call, command).await?;
        Ok(Response::new(v1::AnonymizeAccountResponse { account: Some(account), replayed, position }))
    }
}
