//! Collecting everything that is wrong with a request before it is refused.

use std::fmt::Display;

use crate::domain::reason::{Reason, Refusal};

/// The fields found at fault so far. What reads a field notes its violation here and goes on with a stand-in, which
/// nobody sees, because [`Violations::finish`] refuses the request.
#[derive(Debug, Default)]
pub struct Violations {
    refusal: Option<Refusal>,
}

impl Violations {
    /// One more field is not as it must be.
    pub fn add(&mut self, reason: Reason, field: &str, description: impl Into<String>) {
        self.add_with(reason, field, description, &[]);
    }

    /// The same, with what a program may need. It is told of the first violation only.
    pub fn add_with(
        &mut self,
        reason: Reason,
        field: &str,
        description: impl Into<String>,
        metadata: &[(&str, &dyn Display)],
    ) {
        self.refusal = Some(if let Some(refusal) = self.refusal.take() {
            refusal.violating(field, reason.name(), description)
        } else {
            let refusal = Refusal::field(reason, field, description);
            metadata.iter().fold(refusal, |refusal, (key, value)| refusal.with(key, value))
        });
    }

    /// A required field is missing.
    pub fn add_required(&mut self, field: &str) {
        self.add(Reason::FieldRequired, field, format!("{field} is required."));
    }

    /// A number is outside its limits.
    pub fn add_out_of_range(&mut self, field: &str, min: i64, max: i64) {
        let description = format!("{field} lies between {min} and {max}.");
        self.add_with(Reason::FieldOutOfRange, field, description, &[("min", &min), ("max", &max)]);
    }

    /// An enum holds a number that this version does not know.
    pub fn add_unknown_value(&mut self, field: &str, value: i32) {
        let description = format!("{field} knows no value {value}.");
        self.add_with(Reason::EnumValueUnknown, field, description, &[("value", &value)]);
    }

    /// Refuses the request if anything was found.
    ///
    /// # Errors
    /// The first violation's reason, with all violations.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.refusal {
            None => Ok(()),
            Some(refusal) => Err(refusal),
        }
    }

    /// Refuses the request if anything was found, and hands out what was read otherwise.
    ///
    /// # Errors
    /// The first violation's reason, with all violations.
    pub fn finish_with<T>(self, value: Option<T>) -> Result<T, Refusal> {
        self.finish()?;
        // Whoever reads nothing has noted why.
        value.ok_or_else(|| Refusal::new(Reason::FieldRequired, "A required field is missing."))
    }
}
