//! Posts, transfers and reversals, one a call.

use std::collections::HashMap;

use billing_db::{accounts, journal};
use billing_proto::v1;
use tonic::{Request, Response, Status};
use v1::operation::Operation;

use crate::auth::Permission;
use crate::convert;
use crate::domain::ledger;
use crate::domain::reason::Refusal;
use crate::domain::record::Kind;
use crate::engine::Engine;
use crate::engine::command::{Body, Command};
use crate::engine::record::payload_of;
use crate::services::{Call, find};

/// Posts one entry.
pub(super) async fn post(
    engine: &Engine,
    request: Request<v1::PostRequest>,
) -> Result<Response<v1::PostResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    permit_kind(&call, request.kind)?;
    let command = convert::post::command(request)?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::post::answer(&outcome, preview)?))
}

/// Moves money between accounts.
pub(super) async fn transfer(
    engine: &Engine,
    request: Request<v1::TransferRequest>,
) -> Result<Response<v1::TransferResponse>, Status> {
    let call = Call::of(&request)?;
    let command = convert::transfer::command(request.into_inner())?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::transfer::answer(&outcome, preview)?))
}

/// Takes an entry back.
pub(super) async fn reverse_entry(
    engine: &Engine,
    request: Request<v1::ReverseEntryRequest>,
) -> Result<Response<v1::ReverseEntryResponse>, Status> {
    let call = Call::of(&request)?;
    let mut command = convert::reversal::command(request.into_inner())?;
    let preview = command.validate_only;
    call.within(name_peers(engine, [&mut command])).await?;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::reversal::answer(&outcome, preview)?))
}

/// Refuses an operation that the caller's role does not permit: before its shape is looked at.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(super) fn permit(call: &Call, operation: &v1::Operation) -> Result<(), Refusal> {
    match &operation.operation {
        Some(Operation::Post(post)) => permit_kind(call, post.kind),
        Some(Operation::Transfer(_)) => call.principal.check_field(Permission::Correct, "transfer"),
        Some(Operation::Reverse(_)) => call.principal.check_field(Permission::Correct, "reverse"),
        _ => Ok(()),
    }
}

/// What is no kind that may be posted is a matter of the shape.
fn permit_kind(call: &Call, kind: i32) -> Result<(), Refusal> {
    let kind = i16::try_from(kind).ok().and_then(Kind::from_number);
    kind.filter(|kind| ledger::raises(*kind).is_some()).map_or(Ok(()), |kind| call.principal.check_kind(kind))
}

/// Finds the other accounts of the transfers that reversals take back: their partitions must be known before the work
/// begins. An entry that is not there yet has none; whether it exists is the engine's to say.
pub(super) async fn name_peers<'a>(
    engine: &Engine,
    commands: impl IntoIterator<Item = &'a mut Command>,
) -> Result<(), Refusal> {
    let mut reversals: Vec<&mut Command> =
        commands.into_iter().filter(|command| matches!(command.body, Body::Reverse(_))).collect();
    if reversals.is_empty() {
        return Ok(());
    }
    let asked: Vec<(i16, String, i64)> = reversals
        .iter()
        .filter_map(|command| match &command.body {
            Body::Reverse(reverse) => {
                let partition = find::number(engine.partition_of(&command.account_id));
                Some((partition, command.account_id.clone(), reverse.sequence))
            }
            _ => None,
        })
        .collect();
    let peers = engine
        .read(move |conn| {
            let mut peers = HashMap::new();
            for (partition, account_id, sequence) in asked {
                let Some(account) = accounts::find(conn, partition, &account_id)? else { continue };
                let row = journal::row_of(conn, partition, account.account, sequence)?;
                if let Some(peer) = row.and_then(|row| payload_of(&row).peer) {
                    peers.insert((account_id, sequence), peer.account_id);
                }
            }
            Ok(peers)
        })
        .await?;
    for command in &mut reversals {
        if let Body::Reverse(reverse) = &mut command.body {
            reverse.peer_account_id = peers.get(&(command.account_id.clone(), reverse.sequence)).cloned();
        }
    }
    Ok(())
}
