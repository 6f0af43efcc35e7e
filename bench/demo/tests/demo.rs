//! Every demo ends as it promises: the program itself, as `make demo` runs it.

use std::process::Command;

use anyhow::{Result, ensure};

/// Runs a demo and returns its summary: what it printed after its last step's head.
fn summary(provider: &str) -> Result<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_demo")).env("PROVIDER", provider).env_remove("KEEP").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let summary = text.rsplit(". Summary").next().unwrap_or_default();
    Ok(summary.to_owned())
}

/// Runs a demo and looks for what its summary has to hold, given how many pods went to the cloud.
///
/// `auto` leaves it to the total score whether the last core at home stays free, so that number is eight or a little more.
fn check(provider: &str, wanted: impl Fn(usize) -> Vec<String>) -> Result<()> {
    let summary = summary(provider)?;
    let peak = summary.lines().find_map(|line| line.trim().strip_prefix("pods at peak ")).unwrap_or_default();
    let numbers: Vec<usize> = peak.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    let [local, burst, ..] = numbers[..] else { anyhow::bail!("{peak:?} in{summary}") };
    ensure!(local + burst == 20 && (8..=10).contains(&burst), "{peak:?} in{summary}");
    let always = "scale-in       8 pods removed, all of them from the cloud";
    for line in wanted(burst).iter().map(String::as_str).chain([always]) {
        ensure!(summary.contains(line), "no {line:?} in{summary}");
    }
    Ok(())
}

/// The summary's end, where one cloud had all.
fn bill(burst: usize) -> String {
    format!("cloud          0 instances, bill closed: {burst} instances")
}

/// The same of a cloud whose pods answer kubectl.
fn spoken(node: &str, burst: usize) -> Vec<String> {
    vec![node.to_owned(), " line ".to_owned(), "exec result    hello from web-".to_owned(), bill(burst)]
}

#[test]
fn demo_cci() -> Result<()> {
    check("cci", |burst| spoken("burst-cci-0", burst))
}

#[test]
fn demo_cci2() -> Result<()> {
    check("cci2", |burst| spoken("bursting-node-0", burst))
}

#[test]
fn demo_eci() -> Result<()> {
    check("eci", |burst| spoken("virtual-node-eci-0", burst))
}

#[test]
fn demo_cube() -> Result<()> {
    check("cube", |burst| vec!["uk8s-lab1lab1-vk-node0".to_owned(), bill(burst)])
}

#[test]
fn demo_kubernetes() -> Result<()> {
    let wanted =
        ["burst-other-0", "line 0 of the other cluster", "hello from the other cluster", "0 pods left there"];
    check("kubernetes", |_| wanted.map(str::to_owned).to_vec())
}

/// Three clouds under one policy's tiers.
#[test]
fn demo_all() -> Result<()> {
    check("all", |burst| {
        let rest = burst - 6;
        vec![
            format!("{burst} burst: 3 CCI, 3 ECI, {rest} Cube"),
            "CCI: 0 instances, bill closed: 3 instances".to_owned(),
            "ECI: 0 instances, bill closed: 3 instances".to_owned(),
            format!("Cube: 0 instances, bill closed: {rest} instances"),
        ]
    })
}

#[test]
fn an_unknown_cloud_is_refused() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).env("PROVIDER", "aws").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("not one of cci, cci2, eci, cube, kubernetes, all"),
        "{said}"
    );
    Ok(())
}
