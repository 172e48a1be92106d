//! What the client does when the service or the link fails: against a fake service that the tests play themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::unnecessary_wraps, reason = "samples have the type of the field they are put in")]

mod fake;
mod sample;

mod bulk;
mod calls;
mod follow;
mod subscription;
