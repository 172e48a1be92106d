//! The billing server. Everything is in the library: `config` reads the settings, `telemetry` starts the logs, `commands`
//! does what was asked, by default `serve`.

use std::env;
use std::process::ExitCode;

/// A post is some dozens of small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    billing_server::commands::run(env::args_os(), variables)
}
