//! The parts of a batch, one a partition, and which account belongs to which.

use super::command::{Command, Job};
use super::work::Work;
use crate::domain::identifier::partition_of;

/// How accounts are spread over partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// The number of partitions.
    pub(super) partitions: u16,
}

impl Spread {
    /// The partition of an account.
    pub(super) fn partition_of(self, account_id: &str) -> u16 {
        partition_of(account_id, self.partitions)
    }

    /// The partitions that a command touches, ascending; all of them for a change of a service-wide thing.
    pub(super) fn partitions_of(self, command: &Command) -> Vec<u16> {
        if command.account_id.is_empty() {
            return (0..self.partitions).collect();
        }
        let mut touched: Vec<u16> = command.account_ids().map(|id| self.partition_of(id)).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}

/// A batch being decided, over one partition or several.
#[derive(Clone)]
pub(super) struct Works {
    pub(super) spread: Spread,
    /// Ascending by partition; at least one.
    pub(super) parts: Vec<Work>,
}

impl Works {
    /// The part of a partition.
    pub(super) fn part(&mut self, partition: u16) -> Option<&mut Work> {
        self.parts.iter_mut().find(|work| work.partition.number == partition)
    }

    /// The part that a command's key and first row belong to. A job is only ever given to works over its partitions, so
    /// the part is there; the first one stands for what belongs to no account.
    pub(super) fn home(&mut self, command: &Command) -> &mut Work {
        let number =
            if command.account_id.is_empty() { None } else { Some(self.spread.partition_of(&command.account_id)) };
        let index = number
            .and_then(|number| self.parts.iter().position(|work| work.partition.number == number))
            .unwrap_or_default();
        &mut self.parts[index]
    }

    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|work| work.records.is_empty())
    }
}

/// The number of commands in jobs.
pub(super) fn commands_of(jobs: &[Job]) -> usize {
    jobs.iter().map(Job::size).sum()
}
