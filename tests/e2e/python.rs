//! A client in another language, generated from `proto/`: Python with grpcio.

use std::fs;
use std::path::Path;
use std::process::Command;

use billing_client::{Client, CreateAccount};

use crate::harness::database::TestDir;
use crate::harness::tools::{find, root, wanted};
use crate::harness::{Backend, Process, TestDatabase, block_on};

/// Generates the stubs, as README.md says it.
fn generate(python: &Path, into: &Path) {
    let protos = fs::read_dir(root().join("proto/billing/v1")).unwrap().map(|entry| entry.unwrap().path());
    let output = Command::new(python)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(root().join("proto"))
        .arg(format!("--python_out={}", into.display()))
        .arg(format!("--grpc_python_out={}", into.display()))
        .args(protos)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(python: &Path, script: &Path, stubs: &Path, arguments: &[&str]) -> String {
    let output = Command::new(python).arg(script).args(arguments).env("PYTHONPATH", stubs).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn a_generated_client_posts_reads_and_subscribes() {
    if !wanted("a client in Python") {
        return;
    }
    let python = find("venv/bin/python", "python3");
    let stubs = TestDir::create();
    generate(&python, stubs.path());
    block_on(async {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let database = TestDatabase::create(backend, 2).await;
            let process = Process::start(&database).await;
            let script = root().join("tests/python/client.py");
            let told = run(&python, &script, stubs.path(), &[&process.address().to_string()]);
            assert!(told.trim_end().ends_with("ok"), "{told}");
        }
    });
}

#[test]
fn the_python_of_the_readme_runs() {
    if !wanted("the Python of README.md") {
        return;
    }
    let python = find("venv/bin/python", "python3");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let code =
        readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("README.md shows Python");
    let stubs = TestDir::create();
    generate(&python, stubs.path());
    block_on(async {
        let database = TestDatabase::create(Backend::Sqlite, 1).await;
        let process = Process::start(&database).await;
        let client = Client::builder(process.uri()).connect().await.unwrap();
        client.create_account(&CreateAccount::new("acme", "EUR").id("acme-1")).await.unwrap();
        let script = stubs.path().join("readme.py");
        fs::write(&script, code.replace("127.0.0.1:50051", &process.address().to_string())).unwrap();
        assert_eq!(run(&python, &script, stubs.path(), &[]).trim(), "1500.50");
    });
}
