//! The figures.

pub mod delivery;
pub mod posting;
pub mod reading;
pub mod size;
