//! Numbers that look random and are the same every time.

/// `SplitMix64` (Steele, Lea, Flood 2014): plenty for a demonstration, useless for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low).saturating_add(1);
        low.saturating_add_unsigned(self.next() % span)
    }

    /// True so many times out of a thousand.
    pub(super) fn chance(&mut self, permille: i64) -> bool {
        self.between(1, 1_000) <= permille
    }

    /// One of some; there must be one.
    pub(super) fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        let last = i64::try_from(some.len()).unwrap_or(i64::MAX) - 1;
        some[usize::try_from(self.between(0, last)).unwrap_or_default()]
    }
}
