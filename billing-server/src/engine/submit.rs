//! Submitting commands and waiting for their answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Deadline};

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::Engine;
use super::command::{Answer, Command, Job, Mode, Stage};
use super::locked::storage_unavailable;
use crate::domain::reason::{Reason, Refusal};

/// How long a call waits for its answer when it brings no deadline.
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// What is done with commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Decide and append them.
    Submit,
    /// The same, waiting for room in the queue.
    Wait,
    /// Decide them only.
    Try,
}

impl Engine {
    /// Decides one command and waits for its answer.
    pub async fn submit(&self, command: Command, deadline: Option<Deadline>) -> Answer {
        let partitions = self.shared.spread.partitions_of(&command);
        let mut answers = self.run(vec![command], Mode::Independent, partitions, deadline, Way::Submit).await;
        answers.pop().unwrap_or_else(|| Err(lost()))
    }

    /// Decides commands together (ATOMIC, over any partitions) or each by itself; answers in their order. INDEPENDENT
    /// commands of several partitions run side by side; a command over several partitions runs among them.
    pub async fn submit_all(&self, commands: Vec<Command>, mode: Mode, deadline: Option<Deadline>) -> Vec<Answer> {
        match mode {
            Mode::Independent => self.submit_spread(commands, deadline, Way::Submit).await,
            Mode::Atomic => {
                let partitions = self.partitions_of(&commands);
                self.run(commands, mode, partitions, deadline, Way::Submit).await
            }
        }
    }

    /// What would become of commands, each on top of those before it; nothing is written.
    pub async fn try_all(&self, commands: Vec<Command>, mode: Mode, deadline: Option<Deadline>) -> Vec<Answer> {
        let partitions = self.partitions_of(&commands);
        self.run(commands, mode, partitions, deadline, Way::Try).await
    }

    /// The partitions that commands touch together, ascending.
    fn partitions_of(&self, commands: &[Command]) -> Vec<u16> {
        let spread = self.shared.spread;
        let mut partitions: Vec<u16> = commands.iter().flat_map(|command| spread.partitions_of(command)).collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Like `submit_all` INDEPENDENT, but waits for room in the queue instead of answering `OVERLOADED`: the bulk path.
    pub async fn submit_bulk(&self, commands: Vec<Command>, deadline: Option<Deadline>) -> Vec<Answer> {
        self.submit_spread(commands, deadline, Way::Wait).await
    }

    async fn submit_spread(&self, commands: Vec<Command>, deadline: Option<Deadline>, way: Way) -> Vec<Answer> {
        let count = commands.len();
        let mut groups: HashMap<Vec<u16>, (Vec<usize>, Vec<Command>)> = HashMap::new();
        for (index, command) in commands.into_iter().enumerate() {
            let group = groups.entry(self.shared.spread.partitions_of(&command)).or_default();
            group.0.push(index);
            group.1.push(command);
        }
        let runs = groups.into_iter().map(|(partitions, (indexes, commands))| async move {
            (indexes, self.run(commands, Mode::Independent, partitions, deadline, way).await)
        });
        let mut answers: Vec<Answer> = (0..count).map(|_| Err(lost())).collect();
        for (indexes, group) in join_all(runs).await {
            for (index, answer) in indexes.into_iter().zip(group) {
                answers[index] = answer;
            }
        }
        answers
    }

    async fn run(
        &self,
        commands: Vec<Command>,
        mode: Mode,
        partitions: Vec<u16>,
        deadline: Option<Deadline>,
        way: Way,
    ) -> Vec<Answer> {
        let count = commands.len();
        let all = |refusal: &Refusal| -> Vec<Answer> { (0..count).map(|_| Err(refusal.clone())).collect() };
        let Some(leader) = partitions.first().and_then(|number| self.shared.partitions.get(usize::from(*number)))
        else {
            return Vec::new();
        };
        if leader.is_down() {
            return all(&storage_unavailable());
        }
        if self.is_skewed() {
            return all(&Refusal::new(
                Reason::ClockSkew,
                "The clocks of this server and its database differ by more than 5 s; it does not write until they agree.",
            )
            .with("skew_ms", self.skew_ms.load(Ordering::Acquire)));
        }
        let deadline = deadline.unwrap_or_else(|| Deadline::now() + DEFAULT_DEADLINE);
        let (reply, mut answer) = oneshot::channel();
        let stage = Arc::new(Stage::default());
        let trial = way == Way::Try;
        let mut job =
            Job { commands, mode, trial, partitions, deadline: Some(deadline), stage: Arc::clone(&stage), reply };
        loop {
            match leader.queue.submit(job) {
                Ok(()) => break,
                Err(refused) => match *refused {
                    (back, refusal) if way == Way::Wait && refusal.reason == Reason::Overloaded => job = back,
                    (_, refusal) => return all(&refusal),
                },
            }
            if tokio::time::timeout_at(deadline.into(), leader.queue.wait_for_room()).await.is_err() {
                return all(&too_late(false));
            }
        }
        if let Ok(answers) = tokio::time::timeout_at(deadline.into(), &mut answer).await {
            return answers.unwrap_or_else(|_| all(&lost()));
        }
        // Closed first and looked at second, while the writer starts first and looks second: one of them sees the other.
        answer.close();
        match answer.try_recv() {
            Ok(answers) => answers,
            Err(_) if !stage.is_started() => all(&too_late(false)),
            Err(_) if leader.is_down() => all(&super::appender::outcome_unknown()),
            Err(_) => all(&too_late(true)),
        }
    }
}

fn too_late(started: bool) -> Refusal {
    let message = if started {
        "The deadline passed while the work was under way; repeat the call with the same key to learn its outcome."
    } else {
        "The deadline passed before the work was started; nothing was written."
    };
    Refusal::new(Reason::DeadlineExceeded, message).with("started", started)
}

fn lost() -> Refusal {
    Refusal::new(Reason::Internal, "The command was lost inside the service; repeat it with the same key.")
}
