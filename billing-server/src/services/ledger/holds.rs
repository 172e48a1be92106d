//! Holds.

use billing_db::holds::{self, HoldFilter};
use billing_proto::v1;
use tonic::{Request, Response, Status};

use crate::convert::page::{self, Page, Query};
use crate::convert::violations::Violations;
use crate::convert::{self, text};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::services::{Call, find};

/// Reserves money.
pub(super) async fn place(
    engine: &Engine,
    request: Request<v1::PlaceHoldRequest>,
) -> Result<Response<v1::PlaceHoldResponse>, Status> {
    let call = Call::of(&request)?;
    let command = convert::hold::place(request.into_inner())?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::hold::placed(&outcome, preview)?))
}

/// Changes a hold.
pub(super) async fn update(
    engine: &Engine,
    request: Request<v1::UpdateHoldRequest>,
) -> Result<Response<v1::UpdateHoldResponse>, Status> {
    let call = Call::of(&request)?;
    let command = convert::hold::update(request.into_inner())?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::hold::updated(&outcome, preview)?))
}

/// Charges a hold.
pub(super) async fn capture(
    engine: &Engine,
    request: Request<v1::CaptureHoldRequest>,
) -> Result<Response<v1::CaptureHoldResponse>, Status> {
    let call = Call::of(&request)?;
    let command = convert::hold::capture(request.into_inner())?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::hold::captured(&outcome, preview)?))
}

/// Frees a hold.
pub(super) async fn release(
    engine: &Engine,
    request: Request<v1::ReleaseHoldRequest>,
) -> Result<Response<v1::ReleaseHoldResponse>, Status> {
    let call = Call::of(&request)?;
    let command = convert::hold::release(request.into_inner())?;
    let preview = command.validate_only;
    let outcome = engine.submit(call.sign(command), Some(call.deadline)).await?;
    Ok(Response::new(convert::hold::released(&outcome, preview)?))
}

/// Returns one hold, as it is now.
pub(super) async fn get(
    engine: &Engine,
    request: Request<v1::GetHoldRequest>,
) -> Result<Response<v1::GetHoldResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let hold_id = text::id(&mut found, "hold_id", request.hold_id);
    found.finish()?;
    let hold = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        let head = find::head(engine, &account_id).await?;
        let (partition, account) = (find::number(head.identity.partition), head.identity.account);
        let id = hold_id.clone();
        let rows = engine.read(move |conn| holds::find(conn, partition, account, &[&id])).await?;
        let row = rows.into_iter().next().ok_or_else(|| not_found(&account_id, &hold_id))?;
        convert::hold::of_row(row, &head.identity, engine.now())
    });
    Ok(Response::new(v1::GetHoldResponse { hold: Some(hold.await?) }))
}

fn not_found(account_id: &str, hold_id: &str) -> Refusal {
    Refusal::new(Reason::HoldNotFound, format!("Account {account_id} has no hold {hold_id}."))
        .with("account_id", account_id)
        .with("hold_id", hold_id)
}

/// Lists the holds of an account.
pub(super) async fn list(
    engine: &Engine,
    request: Request<v1::ListHoldsRequest>,
) -> Result<Response<v1::ListHoldsResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let states = states(&mut found, &request.states);
    let query = Query::of("holds", &[account_id.as_bytes(), format!("{states:?}").as_bytes()]);
    let page = page::page(&mut found, request.page_size, &request.page_token, query);
    found.finish()?;
    let response = call.within(async {
        find::reach(engine, &call, request.min_position).await?;
        list_page(engine, &account_id, states, &page).await
    });
    Ok(Response::new(response.await?))
}

/// The states asked for, in their order; none: all.
fn states(found: &mut Violations, states: &[i32]) -> Vec<i16> {
    let mut numbers = Vec::new();
    for (index, number) in states.iter().enumerate().take(100) {
        match v1::HoldState::try_from(*number) {
            Ok(v1::HoldState::Unspecified) => return Vec::new(),
            Ok(_) => numbers.extend(i16::try_from(*number)),
            Err(_) => found.add_unknown_value(&format!("states[{index}]"), *number),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

async fn list_page(
    engine: &Engine,
    account_id: &str,
    states: Vec<i16>,
    page: &Page,
) -> Result<v1::ListHoldsResponse, Refusal> {
    let head = find::head(engine, account_id).await?;
    let partition = find::number(head.identity.partition);
    let (before, now, limit) = (page.number_and_name()?, engine.now(), page.limit());
    let filter = HoldFilter { account: head.identity.account, states, now: now.micros() };
    let mut rows = engine
        .read(move |conn| {
            let before = before.as_ref().map(|(placed_at, hold_id)| (*placed_at, hold_id.as_str()));
            holds::list(conn, partition, &filter, before, limit)
        })
        .await?;
    let next_page_token = page.cut(&mut rows, |last| format!("{}/{}", last.placed_at, last.hold_id));
    let holds =
        rows.into_iter().map(|row| convert::hold::of_row(row, &head.identity, now)).collect::<Result<_, _>>()?;
    Ok(v1::ListHoldsResponse { holds, next_page_token })
}
