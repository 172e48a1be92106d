//! Programs that are no part of this workspace: grpcurl, Python. `scripts/test` installs them.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether tests of foreign tools are wanted: `scripts/test` says so. A plain `cargo test` does without them, and says it.
pub(crate) fn wanted(test: &str) -> bool {
    let wanted = env::var_os("BILLING_TEST_TOOLS").is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("NOT RUN: {test}. It needs tools that scripts/test installs; run that, or set BILLING_TEST_TOOLS=1.");
    }
    wanted
}

/// A program that `scripts/test` has installed at this path under `target/tools`, or else one of this name in `PATH`.
pub(crate) fn find(installed: &str, name: &str) -> PathBuf {
    let own = root().join("target/tools").join(installed);
    if own.exists() {
        return own;
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs it"))
}
