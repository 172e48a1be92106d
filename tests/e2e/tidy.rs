//! What tools do not look at: how long files and functions are, who owns a TODO, and that every module is tested.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::tools::root;

/// The aim is 400; beyond this a file has two subjects.
const LONGEST_FILE: usize = 600;
/// A function fits on a screen; a table of cases may be longer.
const LONGEST_FUNCTION: usize = 90;

/// All files below a folder whose names end so.
fn files(folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() && ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests") || path.starts_with("tests") || path.contains("/simulation/")
}

/// The lines of a file that are not in its module of unit tests.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::to_owned).collect()
}

#[test]
fn files_are_about_one_subject() {
    let long: Vec<String> = files(".", &[".rs"])
        .iter()
        .filter(|path| !is_test(&shown(path)))
        .map(|path| (shown(path), lines_of(path).len()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut long = Vec::new();
    for path in files(".", &[".rs"]).iter().filter(|path| !is_test(&shown(path))) {
        let lines = lines_of(path);
        for (number, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts =
                line.trim_start().split(' ').take(5).any(|word| word == "fn") && !line.trim_start().starts_with("//");
            if !starts || line.trim_end().ends_with(';') {
                continue;
            }
            // rustfmt puts the closing brace where the function begins.
            let closing = format!("{}}}", " ".repeat(indent));
            let length = lines[number..].iter().position(|line| *line == closing).unwrap_or(0);
            if length > LONGEST_FUNCTION {
                long.push(format!("{}:{}: {length} lines", shown(path), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "more than {LONGEST_FUNCTION} lines: {long:#?}");
}

#[test]
fn no_todo_is_without_an_owner() {
    let markers = ["TODO", "FIXME", "HACK"].map(str::to_owned);
    let mut unowned = Vec::new();
    for path in files(".", &[".rs", ".proto", ".sql", ".toml", ".md", ".py"]) {
        if shown(&path).ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let comment = line.trim_start();
            let is_comment = ["//", "#", "--"].iter().any(|start| comment.contains(start));
            for marker in markers.iter().filter(|marker| is_comment && comment.contains(marker.as_str())) {
                // `TODO(name): …` has an owner.
                if !comment.contains(&format!("{marker}(")) {
                    unowned.push(format!("{}:{}: {comment}", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(unowned.is_empty(), "{unowned:#?}");
}

#[test]
fn names_say_what_a_thing_is() {
    const EMPTY: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "wrapper"];
    let named: Vec<String> = files(".", &[".rs"])
        .iter()
        .map(|path| shown(path))
        .filter(|path| path.split(['/', '.', '_']).any(|part| EMPTY.contains(&part)))
        .collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn every_module_of_tests_is_listed() {
    let main = fs::read_to_string(root().join("tests/e2e/main.rs")).unwrap();
    let unlisted: Vec<String> = fs::read_dir(root().join("tests/e2e"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "main" && !main.contains(&format!("mod {name};")))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn every_table_of_tests_runs_each_of_its_functions() {
    // A test that takes a service or a database runs only if a table names it; the compiler tells of one that none does.
    for path in files("tests/e2e", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.starts_with("async fn ")) {
            let takes = line.contains("(service: &Service)") || line.contains("(database: TestDatabase)");
            let name = line["async fn ".len()..].split('(').next().unwrap();
            let named = text.matches(name).count() > 1;
            assert!(!takes || named, "{} is in no table of {}", name, shown(&path));
        }
    }
}
