//! Time and ids come from outside: tests and the sandbox move the one and fix the other.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::Utc;

use crate::domain::instant::Instant;

/// Tells the time of day.
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Instant;

    /// Whether it tells the time of the world, so that it can be held against another clock.
    fn is_real(&self) -> bool {
        false
    }
}

/// Makes what must not be guessed or repeated.
pub trait IdSource: Debug + Send + Sync {
    /// 128 random bits.
    fn random(&self) -> [u8; 16];
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::from_micros(Utc::now().timestamp_micros())
    }

    fn is_real(&self) -> bool {
        true
    }
}

/// Random ids, from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn random(&self) -> [u8; 16] {
        *uuid::Uuid::new_v4().as_bytes()
    }
}

/// The clock and the ids that a server runs by.
#[derive(Clone, Debug)]
pub struct World {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

impl Default for World {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) }
    }
}

impl World {
    /// 256 random bits.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(&self.ids.random());
        secret[16..].copy_from_slice(&self.ids.random());
        secret
    }
}
