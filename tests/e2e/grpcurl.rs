//! The session with grpcurl that README.md shows, as it stands there.

use std::fs;
use std::process::Command;

use crate::harness::tools::{find, root, wanted};
use crate::harness::{Backend, Process, TestDatabase, block_on};

/// The address that the README names.
const ADDRESS: &str = "localhost:50051";
/// Values that differ from run to run.
const VOLATILE: [&str; 4] = ["hash", "resumeToken", "nextPageToken", "bookingDate"];
/// Stands for any number of lines.
const ANY: &str = "…";

/// A command of the README and what it shows as its output.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands in the `console` blocks of a text.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_console = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else if let (true, Some(step)) = (is_console, steps.last_mut()) {
            if step.command.ends_with('\\') && step.shown.is_empty() {
                step.command.truncate(step.command.len() - 1);
                step.command.push_str(line.trim_start());
            } else {
                step.shown.push(line.to_owned());
            }
        }
    }
    steps
}

/// A line without what differs from run to run.
fn plain(line: &str) -> String {
    let line = line.trim_end().trim_end_matches(',');
    let Some((name, value)) = line.split_once(": ") else { return line.to_owned() };
    let (bare, text) = (name.trim().trim_matches('"'), value.trim_matches('"'));
    let is_time = chrono::DateTime::parse_from_rfc3339(text).is_ok();
    if VOLATILE.contains(&bare) || is_time { format!("{name}: ~") } else { line.to_owned() }
}

/// Whether lines are those shown, where `…` stands for any number of them.
fn matches(shown: &[String], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == ANY => (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..])),
        Some((first, rest)) => lines.split_first().is_some_and(|(line, lines)| line == first && matches(rest, lines)),
    }
}

#[test]
fn the_session_of_the_readme_runs_as_it_stands() {
    if !wanted("the grpcurl session of README.md") {
        return;
    }
    let grpcurl = find("bin/grpcurl", "grpcurl");
    let steps = steps(&fs::read_to_string(root().join("README.md")).unwrap());
    assert!(steps.len() >= 10, "README.md shows ten calls: {steps:#?}");
    block_on(async {
        let database = TestDatabase::create(Backend::Sqlite, 1).await;
        let process = Process::start(&database).await;
        for step in steps {
            assert!(step.command.starts_with("grpcurl "), "{}", step.command);
            assert!(step.command.contains(ADDRESS), "{}", step.command);
            let command = step.command.replacen("grpcurl", &grpcurl.display().to_string(), 1);
            let command = command.replace(ADDRESS, &process.address().to_string());
            let output = Command::new("sh").args(["-c", &command]).output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            // A stream is ended by the time that the command gives it.
            assert!(
                output.status.success() || command.contains("-max-time"),
                "{}\n{told}\n{}",
                step.command,
                String::from_utf8_lossy(&output.stderr)
            );
            let lines: Vec<String> = told.lines().map(plain).collect();
            let shown: Vec<String> = step.shown.iter().map(|line| plain(line)).collect();
            assert!(matches(&shown, &lines), "{}\nshows\n{}\nbut it is\n{told}", step.command, step.shown.join("\n"));
        }
    });
}

#[test]
fn a_refusal_shows_its_details() {
    if !wanted("a refusal in grpcurl") {
        return;
    }
    let grpcurl = find("bin/grpcurl", "grpcurl");
    block_on(async {
        let database = TestDatabase::create(Backend::Sqlite, 1).await;
        let process = Process::start(&database).await;
        let output = Command::new(grpcurl)
            .args(["-plaintext", "-d", r#"{"account_id":"nobody"}"#, &process.address().to_string()])
            .arg("billing.v1.BalanceService/GetBalance")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        for part in [
            "Code: NotFound",
            "type.googleapis.com/google.rpc.ErrorInfo",
            "ACCOUNT_NOT_FOUND",
            "google.rpc.ResourceInfo",
            "\"account_id\": \"nobody\"",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    });
}

#[test]
fn what_is_shown_is_compared_line_by_line() {
    let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>();
    let told = lines("{\n  \"a\": \"1\",\n  \"at\": \"2026-11-22T17:50:57.5Z\",\n  \"b\": {\n    \"c\": 2\n  }\n}");
    for (shown, is_so) in [
        ("{\n  \"a\": \"1\",\n  …\n}", true),
        ("{\n  …\n  \"b\": {\n    …\n  }\n}", true),
        ("{\n  \"a\": \"1\",\n  \"at\": \"2020-01-01T00:00:00Z\",\n  …\n}", true),
        ("{\n  \"a\": \"2\",\n  …\n}", false),
        ("{\n  \"b\": {\n    …\n  }\n}", false),
        ("…\n  \"c\": 2\n…", false),
    ] {
        assert_eq!(matches(&lines(shown), &told), is_so, "{shown}");
    }
}
