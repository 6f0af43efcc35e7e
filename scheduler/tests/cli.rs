//! The binary: arguments, and messages of a start that cannot succeed.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_burst-scheduler"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the binary starts")
}

fn with_config(yaml: &str, more: &[&str]) -> (bool, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("scheduler.yaml");
    std::fs::write(&file, yaml).expect("written");
    let file = file.to_string_lossy().into_owned();
    let output = run(&[&["--config", &file][..], more].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn help_and_version() {
    let help = String::from_utf8_lossy(&run(&["--help"]).stdout).into_owned();
    for argument in ["--config", "--check-config", "--log", "--version"] {
        assert!(help.contains(argument), "{help}");
    }
    let version = String::from_utf8_lossy(&run(&["--version"]).stdout).into_owned();
    assert_eq!(version.trim(), format!("burst-scheduler {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_configuration_can_be_checked_without_starting() {
    let check = |yaml: &str, good: bool, words: &[&str]| {
        let (success, text) = with_config(yaml, &["--check-config"]);
        assert_eq!(success, good, "{text}");
        for word in words {
            assert!(text.contains(word), "{text} does not say {word}");
        }
    };
    check("defaultPolicy: auto", true, &["scheduler.yaml: ok"]);
    check("defaultPolcy: auto", false, &["scheduler.yaml", "defaultPolcy", "defaultPolicy"]);
    check("https: {certFile: /nonexistent/c, keyFile: /nonexistent/k}", false, &["https", "/nonexistent/c"]);
}

#[test]
fn a_start_that_cannot_succeed_says_why() {
    let (success, text) = with_config("kubeconfig: /nonexistent/kubeconfig", &[]);
    assert!(!success && text.contains("/nonexistent/kubeconfig"), "{text}");
    let (success, text) = with_config("{}", &["--log", "=x=y"]);
    assert!(!success && text.contains("--log"), "{text}");
}
