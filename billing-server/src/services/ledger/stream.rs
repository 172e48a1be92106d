//! The bulk path: a stream of operations, each answered for itself.
//!
//! What has arrived is submitted in groups, several at a time. Posts to one account are decided in the order in which they
//! were sent, whatever the engine's queue does with the groups: while an operation of an account is under way, later ones
//! of it wait (`lanes.rs`). Answers that the client does not take fill a channel, and then nothing more is read.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant as Deadline};

use billing_proto::v1;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use super::lanes::{Item, Lanes};
use super::post::{name_peers, permit};
use crate::convert::operation::{self, Form};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::engine::command::Answer;
use crate::services::{Call, Drain};
use crate::status::{fault, of_transport};

/// Groups under way at a time: enough for one to be decided while another is on its way to the disk.
const MAX_GROUPS: usize = 4;
/// Operations that may wait for their turn; beyond it nothing is read.
const MAX_WAITING: usize = 2000;
/// How long an operation may wait for room in the engine.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Groups of answers that the client has not taken yet.
const MAX_UNTAKEN: usize = 4;

/// Answers of one group.
type Group = Vec<v1::PostStreamResponse>;
/// A group under way: the accounts it is about, and its answers.
type Running = Pin<Box<dyn Future<Output = (Vec<String>, Group)> + Send>>;

/// Executes a stream of operations.
pub(super) fn post_stream(
    engine: &Engine,
    drain: Drain,
    request: Request<Streaming<v1::PostStreamRequest>>,
) -> Result<Response<Answers<v1::PostStreamResponse>>, Status> {
    let call = Call::of(&request)?;
    let (groups, received) = mpsc::channel(MAX_UNTAKEN);
    let (last, ended) = oneshot::channel();
    let pump = Pump {
        engine: engine.clone(),
        call,
        requests: request.into_inner(),
        lanes: Lanes::default(),
        running: FuturesUnordered::new(),
        groups,
        count: 0,
    };
    tokio::spawn(async move {
        let end = pump.run(drain).await;
        // Nobody listens when the client has gone.
        let _ = last.send(end);
    });
    let answers = ReceiverStream::new(received).flat_map(|group: Group| stream::iter(group.into_iter().map(Ok)));
    let end = stream::once(ended).filter_map(|end| async {
        match end {
            Ok(end) => end.err().map(Err),
            Err(_) => Some(Err(fault("a stream of operations was lost").into())),
        }
    });
    Ok(Response::new(Box::pin(answers.chain(end))))
}

/// Reads requests, keeps groups under way, and hands out answers.
struct Pump {
    engine: Engine,
    call: Call,
    requests: Streaming<v1::PostStreamRequest>,
    lanes: Lanes,
    running: FuturesUnordered<Running>,
    groups: mpsc::Sender<Group>,
    /// Requests read so far.
    count: i64,
}

impl Pump {
    /// Runs until the client has sent all and got all answers, or the stream must end.
    async fn run(mut self, drain: Drain) -> Result<(), Status> {
        let mut end = Box::pin(drain.end_of_stream());
        let mut is_open = true;
        loop {
            while self.running.len() < MAX_GROUPS
                && let Some(group) = self.start()
            {
                self.running.push(group);
            }
            if !is_open && self.running.is_empty() {
                return Ok(());
            }
            let answers = tokio::select! {
                // The server stops or the stream is old: what is under way is answered, what waits is not started.
                refusal = &mut end => return self.finish(refusal).await,
                // A group has been decided.
                Some((accounts, answers)) = self.running.next(), if !self.running.is_empty() => {
                    self.lanes.release(accounts);
                    answers
                }
                // The client has sent something, or will send nothing more.
                request = self.requests.next(), if is_open && self.lanes.len() < MAX_WAITING => {
                    is_open = request.is_some();
                    request.map(|request| self.take(request.map_err(of_transport)?)).transpose()?.unwrap_or_default()
                }
            };
            if !answers.is_empty() {
                tokio::select! {
                    refusal = &mut end => return self.finish(refusal).await,
                    sent = self.groups.send(answers) => if sent.is_err() {
                        // The client has gone: what is under way goes on without it.
                        return Ok(());
                    },
                }
            }
        }
    }

    /// Answers what is under way, as far as the client takes it, and ends the stream.
    async fn finish(mut self, refusal: Refusal) -> Result<(), Status> {
        while let Some((_, answers)) = self.running.next().await {
            if self.groups.send(answers).await.is_err() {
                break;
            }
        }
        Err(refusal.into())
    }

    /// Takes a request and whatever else has arrived with it; returns the answers of those that are refused at once.
    fn take(&mut self, request: v1::PostStreamRequest) -> Result<Group, Status> {
        let mut refused = Group::new();
        let mut next = Some(request);
        while let Some(request) = next.take() {
            let operation = request.operation.unwrap_or_default();
            let (form, (account_id, key)) = (Form::of(&operation), operation::names_of(&operation));
            let index = self.count;
            self.count += 1;
            match self.read(operation) {
                Ok(command) => self.lanes.push(Item { index, form, account_id, key, command }),
                Err(refusal) => refused.push(answer(index, account_id, key, form, &Err(refusal))),
            }
            if self.lanes.len() < MAX_WAITING && refused.len() < MAX_WAITING {
                next = match self.requests.next().now_or_never() {
                    Some(Some(request)) => Some(request.map_err(of_transport)?),
                    // The end is seen again by the caller of this.
                    Some(None) | None => None,
                };
            }
        }
        Ok(refused)
    }

    fn read(&self, operation: v1::Operation) -> Result<crate::engine::command::Command, Refusal> {
        permit(&self.call, &operation)?;
        let command = operation::read(operation).and_then(operation::refuse_preview)?;
        Ok(self.call.sign(command))
    }

    /// The next group, if anything can be started.
    fn start(&mut self) -> Option<Running> {
        let (accounts, items) = self.lanes.next_group()?;
        let engine = self.engine.clone();
        Some(Box::pin(async move { (accounts, execute(&engine, items).await) }))
    }
}

/// Executes a group and writes its answers.
async fn execute(engine: &Engine, items: Vec<Item>) -> Group {
    let mut commands = Vec::with_capacity(items.len());
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        commands.push(item.command);
        names.push((item.index, item.account_id, item.key, item.form));
    }
    let count = names.len();
    let answers: Vec<Answer> = match name_peers(engine, &mut commands).await {
        Ok(()) => engine.submit_bulk(commands, Some(Deadline::now() + MAX_WAIT)).await,
        Err(refusal) => vec![Err(refusal); count],
    };
    let lost = || Err(Refusal::new(Reason::Internal, "The operation was not answered; repeat it with the same key."));
    let answers = answers.into_iter().chain(std::iter::repeat_with(lost));
    names
        .into_iter()
        .zip(answers)
        .map(|((index, account_id, key, form), result)| answer(index, account_id, key, form, &result))
        .collect()
}

fn answer(index: i64, account_id: String, key: String, form: Form, answer: &Answer) -> v1::PostStreamResponse {
    let result = Some(operation::result(form, answer, false));
    v1::PostStreamResponse { request_index: index, account_id, idempotency_key: key, result }
}
