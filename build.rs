//! Compiles every file under `proto/` into tonic and prost code, without an installed `protoc`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut protos: Vec<PathBuf> =
        fs::read_dir("proto/billing/v1")?.map(|entry| entry.map(|file| file.path())).collect::<Result<_, _>>()?;
    protos.sort();

    let set = protox::compile(protos, ["proto"])?;
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, set.encode_to_vec())?;

    tonic_prost_build::configure()
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(set)?;
    Ok(())
}
