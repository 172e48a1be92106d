//! Batches of operations.

use std::collections::{BTreeMap, BTreeSet};

use billing_proto::v1;
use tonic::{Request, Response, Status};

use super::post::{name_peers, permit};
use crate::convert::operation::{self, Form};
use crate::convert::position;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::engine::command::{Answer, Command, Mode};
use crate::services::Call;

/// The most operations of a batch.
const MAX_BATCH: usize = 1000;

/// Executes a batch.
pub(super) async fn post_batch(
    engine: &Engine,
    request: Request<v1::PostBatchRequest>,
) -> Result<Response<v1::PostBatchResponse>, Status> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mode = read_mode(request.mode)?;
    check_count(request.operations.len())?;
    let preview = request.validate_only;
    let forms: Vec<Form> = request.operations.iter().map(Form::of).collect();
    let items = request.operations.into_iter().map(|operation| {
        permit(&call, &operation)?;
        let command = operation::read(operation).and_then(operation::refuse_preview)?;
        Ok(call.sign(command))
    });
    let answers = execute(engine, &call, items.collect(), mode, preview).await?;
    let results = forms.iter().zip(&answers).map(|(form, answer)| operation::result(*form, answer, preview)).collect();
    let positions = if preview { Vec::new() } else { positions_of(&answers) };
    Ok(Response::new(v1::PostBatchResponse { results, positions }))
}

fn read_mode(mode: i32) -> Result<Mode, Refusal> {
    match v1::BatchMode::try_from(mode) {
        Ok(v1::BatchMode::Unspecified | v1::BatchMode::Atomic) => Ok(Mode::Atomic),
        Ok(v1::BatchMode::Independent) => Ok(Mode::Independent),
        Err(_) => {
            let refusal = Refusal::field(Reason::EnumValueUnknown, "mode", format!("mode knows no value {mode}."));
            Err(refusal.with("value", mode))
        }
    }
}

fn check_count(count: usize) -> Result<(), Refusal> {
    match count {
        0 => Err(Refusal::field(Reason::BatchEmpty, "operations", "A batch holds at least one operation.")),
        1..=MAX_BATCH => Ok(()),
        _ => {
            let description = format!("A batch holds at most {MAX_BATCH} operations, not {count}.");
            let refusal = Refusal::field(Reason::BatchTooLarge, "operations", description);
            Err(refusal.with("count", count).with("max", MAX_BATCH))
        }
    }
}

/// Executes what has a shape; in an ATOMIC batch one operation that has none refuses all.
async fn execute(
    engine: &Engine,
    call: &Call,
    items: Vec<Result<Command, Refusal>>,
    mode: Mode,
    preview: bool,
) -> Result<Vec<Answer>, Refusal> {
    if mode == Mode::Atomic
        && let Some(culprit) = items.iter().position(Result::is_err)
    {
        return Ok(items.into_iter().map(|item| Err(item.err().unwrap_or_else(|| linked(culprit)))).collect());
    }
    let mut commands = Vec::with_capacity(items.len());
    // The answer of what is refused already, and a gap for what is executed.
    let refused: Vec<Option<Refusal>> =
        items.into_iter().map(|item| item.map(|command| commands.push(command)).err()).collect();
    call.within(name_peers(engine, &mut commands)).await?;
    let mut executed = Vec::with_capacity(commands.len());
    if preview {
        executed = engine.try_all(commands, mode, Some(call.deadline)).await;
    } else {
        for commands in in_order(engine, commands, mode) {
            executed.extend(engine.submit_all(commands, mode, Some(call.deadline)).await);
        }
    }
    refuse_as_a_whole(&executed)?;
    let mut executed = executed.into_iter();
    let lost = || Err(crate::status::fault("an operation of a batch was not answered"));
    Ok(refused
        .into_iter()
        .map(|refusal| match refusal {
            Some(refusal) => Err(refusal),
            None => executed.next().unwrap_or_else(lost),
        })
        .collect())
}

/// Splits operations so that each sees the effects of those before it: what is submitted together touches either the same
/// partitions, and is decided in its order, or others, and has nothing to see.
fn in_order(engine: &Engine, commands: Vec<Command>, mode: Mode) -> Vec<Vec<Command>> {
    if mode == Mode::Atomic {
        // Decided as one, in its order.
        return vec![commands];
    }
    let partitions_of = |command: &Command| command.account_ids().map(|id| engine.partition_of(id)).collect();
    split(commands, partitions_of)
}

fn split<T>(items: Vec<T>, partitions_of: impl Fn(&T) -> BTreeSet<u16>) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut together: Vec<BTreeSet<u16>> = Vec::new();
    for item in items {
        let touched = partitions_of(&item);
        let collides = together.iter().any(|other| *other != touched && !other.is_disjoint(&touched));
        if collides || parts.is_empty() {
            parts.push(Vec::new());
            together.clear();
        }
        if !together.contains(&touched) {
            together.push(touched);
        }
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

fn linked(culprit: usize) -> Refusal {
    let message = format!("Operation {culprit} of the batch was refused; nothing was written.");
    Refusal::new(Reason::LinkedItemFailed, message).with("index", culprit)
}

/// Load, storage and time concern the batch, not an operation: if nothing could be done, the call fails, and is repeated.
fn refuse_as_a_whole(answers: &[Answer]) -> Result<(), Refusal> {
    use crate::domain::reason::Class;
    let is_of_the_call = |refusal: &Refusal| {
        matches!(refusal.reason.class(), Class::Unavailable | Class::Deadline) || refusal.reason == Reason::Overloaded
    };
    match answers.first() {
        Some(Err(first))
            if is_of_the_call(first) && answers.iter().all(|answer| answer.as_ref().err() == Some(first)) =>
        {
            Err(first.clone())
        }
        _ => Ok(()),
    }
}

/// The highest position written in each partition.
fn positions_of(answers: &[Answer]) -> Vec<v1::JournalPosition> {
    let mut highest: BTreeMap<i16, i64> = BTreeMap::new();
    for record in answers.iter().flatten().flat_map(|outcome| &outcome.rows) {
        let position = highest.entry(record.row.partition).or_default();
        *position = record.row.position.max(*position);
    }
    highest.into_iter().map(|(partition, highest)| position::to_wire(partition, highest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_atomic_unless_it_says_otherwise() {
        assert_eq!(read_mode(0), Ok(Mode::Atomic));
        assert_eq!(read_mode(1), Ok(Mode::Atomic));
        assert_eq!(read_mode(2), Ok(Mode::Independent));
        assert_eq!(read_mode(3).map_err(|refusal| refusal.reason), Err(Reason::EnumValueUnknown));
    }

    #[test]
    fn a_batch_holds_1_to_1000_operations() {
        let check = |count| check_count(count).map_err(|refusal| refusal.reason);
        assert_eq!(check(0), Err(Reason::BatchEmpty));
        assert_eq!(check(1000), Ok(()));
        assert_eq!(check(1001), Err(Reason::BatchTooLarge));
    }

    #[test]
    fn operations_that_see_each_other_are_not_submitted_side_by_side() {
        // Each item is the list of its partitions.
        let split = |items: &[&[u16]]| {
            let items = items.iter().map(|partitions| partitions.to_vec()).collect();
            let parts = split(items, |partitions: &Vec<u16>| partitions.iter().copied().collect());
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(split(&[]), Vec::<usize>::new());
        assert_eq!(split(&[&[0], &[1], &[0], &[2]]), [4]);
        assert_eq!(split(&[&[0], &[0, 1], &[1], &[2]]), [1, 1, 2]);
        assert_eq!(split(&[&[0, 1], &[0, 1], &[2], &[2, 3]]), [3, 1]);
    }

    #[test]
    fn load_fails_the_call_and_a_refusal_does_not() {
        let overloaded = || Err(Refusal::new(Reason::Overloaded, "Later."));
        let closed = || Err(Refusal::new(Reason::AccountClosed, "No."));
        assert!(refuse_as_a_whole(&[overloaded(), overloaded()]).is_err());
        assert!(refuse_as_a_whole(&[overloaded(), closed()]).is_ok());
        assert!(refuse_as_a_whole(&[closed()]).is_ok());
        assert!(refuse_as_a_whole(&[]).is_ok());
    }
}
