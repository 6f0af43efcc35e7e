//! What CreateContainerGroup and UpdateContainerGroup accept: required fields, lengths, counts, references. Pure.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::EciError;
use super::size::{self, Asked};
use super::tree::Tree;
use crate::size::Size;

const CONTAINERS_MAX: usize = 20;
const VOLUMES_MAX: usize = 20;
const TAGS_MAX: usize = 20;
const SWITCHES_MAX: usize = 10;
const ENV_VALUE_MAX: usize = 256;
const ENV_KEY_MAX: usize = 128;
const COMMAND_MAX: usize = 20;
const CONFIG_FILES_MAX: usize = 60 * 1024;
const VOLUME_TYPES: [&str; 6] =
    ["EmptyDirVolume", "NFSVolume", "ConfigFileVolume", "FlexVolume", "HostPathVolume", "DiskVolume"];

/// What a group is billed for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Billed {
    pub(super) size: Size,
    /// Candidates in the client's order; empty if it asked for cores and memory.
    pub(super) machines: Vec<String>,
    pub(super) spot: bool,
}

/// Everything that is checked without knowing the region's stock.
pub(super) fn group(tree: &Tree) -> Result<(), EciError> {
    name(tree.required("ContainerGroupName")?)?;
    let switches = tree.word("VSwitchId").split(',').filter(|id| !id.trim().is_empty()).count();
    if switches > SWITCHES_MAX {
        return Err(EciError::parameter("VSwitchId", "at most 10 are allowed"));
    }
    tags(tree)?;
    contents(tree)?;
    one_of(tree, "RestartPolicy", &["Always", "Never", "OnFailure"])?;
    one_of(tree, "ScheduleStrategy", &["VSwitchOrdered", "VSwitchRandom"])?;
    one_of(tree, "DnsPolicy", &["None", "Default"])?;
    one_of(tree, "SpotStrategy", &["NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"])?;
    one_of(tree, "CpuArchitecture", &["AMD64", "ARM64"])?;
    if tree.word("SpotStrategy") == "SpotWithPriceLimit" && tree.number("SpotPriceLimit")?.is_none() {
        return Err(EciError::missing("SpotPriceLimit"));
    }
    for path in
        ["ActiveDeadlineSeconds", "TerminationGracePeriodSeconds", "EphemeralStorage", "MaxPendingMinute"]
    {
        if tree.integer(path)?.is_some_and(|n| n < 0) {
            return Err(EciError::parameter(path, "it is negative"));
        }
    }
    Ok(())
}

/// Containers, init containers and volumes.
pub(super) fn contents(tree: &Tree) -> Result<(), EciError> {
    let (app, init) = (tree.list("Container"), tree.list("InitContainer"));
    if app.is_empty() {
        return Err(EciError::missing("Container.1.Name"));
    }
    if app.len() + init.len() > CONTAINERS_MAX {
        return Err(EciError::parameter("Container", "at most 20 are allowed"));
    }
    let volumes = volumes(tree)?;
    let mut names = HashSet::new();
    for (list, all) in [("Container", &app), ("InitContainer", &init)] {
        for (i, one) in all.iter().enumerate() {
            let at = format!("{list}.{}", i + 1);
            container(one, &at, &volumes)?;
            if !names.insert(one.word("Name")) {
                let message = format!("The container name {:?} is duplicated.", one.word("Name"));
                return Err(EciError::new(400, "InvalidParameter.DuplicatedName", message));
            }
        }
    }
    Ok(())
}

fn name(text: &str) -> Result<(), EciError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (2..=128).contains(&text.len())
        && text.chars().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        return Ok(());
    }
    Err(EciError::parameter(
        "ContainerGroupName",
        &format!("{text:?} is not 2 to 128 lower-case letters, digits and hyphens"),
    ))
}

/// Tags: at most 20, each with a key.
pub(super) fn tags(tree: &Tree) -> Result<Vec<(String, String)>, EciError> {
    let all = tree.list("Tag");
    if all.len() > TAGS_MAX {
        return Err(EciError::parameter("Tag", "at most 20 are allowed"));
    }
    all.into_iter()
        .enumerate()
        .map(|(i, tag)| {
            let key = tag.text("Key").ok_or_else(|| EciError::missing(&format!("Tag.{}.Key", i + 1)))?;
            if key.starts_with("acs:")
                || key.starts_with("aliyun")
                || key.contains("http://")
                || key.contains("https://")
            {
                return Err(EciError::parameter("Tag.Key", &format!("{key:?} begins like the cloud's own")));
            }
            if key.len() > 64 || tag.word("Value").len() > 128 {
                return Err(EciError::length("Tag", 128));
            }
            Ok((key.to_owned(), tag.word("Value").to_owned()))
        })
        .collect()
}

fn container(container: &Tree, at: &str, volumes: &HashSet<String>) -> Result<(), EciError> {
    for field in ["Name", "Image"] {
        if container.text(field).is_none() {
            return Err(EciError::missing(&format!("{at}.{field}")));
        }
    }
    one_of(container, "ImagePullPolicy", &["Always", "IfNotPresent", "Never"])?;
    for list in ["Command", "Arg"] {
        let words = container.texts(list);
        if words.len() > if list == "Arg" { 101 } else { COMMAND_MAX } {
            return Err(EciError::length(&format!("{at}.{list}"), COMMAND_MAX));
        }
    }
    for (i, variable) in container.list("EnvironmentVar").into_iter().enumerate() {
        let path = format!("{at}.EnvironmentVar.{}", i + 1);
        let key = variable.text("Key").ok_or_else(|| EciError::missing(&format!("{path}.Key")))?;
        if key.chars().count() > ENV_KEY_MAX {
            return Err(EciError::length(&format!("{path}.Key"), ENV_KEY_MAX));
        }
        if variable.word("Value").chars().count() > ENV_VALUE_MAX {
            return Err(EciError::length(&format!("{path}.Value"), ENV_VALUE_MAX));
        }
        if variable.text("FieldRef.FieldPath").is_some_and(|field| field != "status.podIP") {
            return Err(EciError::parameter(
                &format!("{path}.FieldRef.FieldPath"),
                "only status.podIP is supported",
            ));
        }
    }
    for (i, mount) in container.list("VolumeMount").into_iter().enumerate() {
        let path = format!("{at}.VolumeMount.{}", i + 1);
        if mount.text("MountPath").is_none() {
            return Err(EciError::missing(&format!("{path}.MountPath")));
        }
        if !volumes.contains(mount.word("Name")) {
            return Err(EciError::parameter(
                &format!("{path}.Name"),
                &format!("there is no volume {:?}", mount.word("Name")),
            ));
        }
    }
    for (i, port) in container.list("Port").into_iter().enumerate() {
        let number = port.integer("Port")?;
        if number.is_none_or(|n| !(1..=65_535).contains(&n)) {
            return Err(EciError::parameter(&format!("{at}.Port.{}.Port", i + 1), "it is not 1 to 65535"));
        }
    }
    for kind in ["LivenessProbe", "ReadinessProbe"] {
        probe(container.at(kind), &format!("{at}.{kind}"))?;
    }
    Ok(())
}

fn probe(probe: &Tree, at: &str) -> Result<(), EciError> {
    if probe.is_empty() {
        return Ok(());
    }
    let kinds = [
        !probe.list("Exec.Command").is_empty(),
        !probe.at("HttpGet").is_empty(),
        !probe.at("TcpSocket").is_empty(),
    ];
    if kinds.into_iter().filter(|there| *there).count() != 1 {
        return Err(EciError::parameter(at, "exactly one of Exec, HttpGet and TcpSocket must be given"));
    }
    for path in [
        "HttpGet.Port",
        "TcpSocket.Port",
        "InitialDelaySeconds",
        "PeriodSeconds",
        "TimeoutSeconds",
        "FailureThreshold",
    ] {
        probe.integer(path)?;
    }
    let once = probe.integer("SuccessThreshold")?.unwrap_or(1);
    if once != 1 && at.ends_with("LivenessProbe") {
        return Err(EciError::parameter(&format!("{at}.SuccessThreshold"), "it must be 1"));
    }
    Ok(())
}

fn volumes(tree: &Tree) -> Result<HashSet<String>, EciError> {
    let all = tree.list("Volume");
    if all.len() > VOLUMES_MAX {
        return Err(EciError::new(
            400,
            "DiskNumber.LimitExceed",
            "The volumes exceed the maximum number of 20.",
        ));
    }
    let mut names = HashSet::new();
    let mut files = 0;
    for (i, volume) in all.into_iter().enumerate() {
        let at = format!("Volume.{}", i + 1);
        let name = volume.text("Name").ok_or_else(|| EciError::missing(&format!("{at}.Name")))?;
        let kind = volume.text("Type").ok_or_else(|| EciError::missing(&format!("{at}.Type")))?;
        if !VOLUME_TYPES.contains(&kind) {
            return Err(EciError::parameter(
                &format!("{at}.Type"),
                &format!("{kind:?} is not a type of volume"),
            ));
        }
        if kind == "HostPathVolume" {
            return Err(EciError::new(
                403,
                "FeatureAccessRestricted",
                "HostPathVolume is for accounts on a list only.",
            ));
        }
        for file in volume.list("ConfigFileVolume.ConfigFileToPath") {
            let content = STANDARD.decode(file.word("Content"));
            files += content
                .map_err(|_| EciError::parameter(&format!("{at}.ConfigFileVolume"), "Content is not base64"))?
                .len();
        }
        if !names.insert(name.to_owned()) {
            let message = format!("The volume name {name:?} is duplicated.");
            return Err(EciError::new(400, "InvalidParameter.DuplicatedVolumeName", message));
        }
    }
    if files > CONFIG_FILES_MAX {
        Err(EciError::length("ConfigFileVolume", CONFIG_FILES_MAX))
    } else {
        Ok(names)
    }
}

fn one_of(tree: &Tree, path: &str, legal: &[&str]) -> Result<(), EciError> {
    match tree.text(path).filter(|text| !legal.contains(text)) {
        Some(text) => Err(EciError::parameter(path, &format!("{text:?} is not one of {legal:?}"))),
        None => Ok(()),
    }
}

/// What is billed: the machine type, or the cores and memory rounded up to a size that is sold.
pub(super) fn billed(tree: &Tree, region: &str, exact: bool) -> Result<Billed, EciError> {
    let spot = matches!(tree.word("SpotStrategy"), "SpotWithPriceLimit" | "SpotAsPriceGo");
    let machines: Vec<String> = tree
        .word("InstanceType")
        .split(',')
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(first) = machines.first() {
        if let Some(wrong) = machines.iter().find(|name| size::machine(name).is_none()) {
            let message = format!("The specified instance type {wrong} is not supported by ECI.");
            return Err(EciError::new(400, "InvalidInstanceTypeForEciBuy", message));
        }
        let size = size::machine(first).unwrap_or_default();
        return Ok(Billed { size, machines, spot });
    }
    let mut sum = Asked { cpu: 0.0, memory: 0.0 };
    for container in tree.list("Container") {
        sum.cpu += container.number("Cpu")?.unwrap_or(0.0);
        sum.memory += container.number("Memory")?.unwrap_or(0.0);
        if container.integer("Gpu")?.is_some_and(|gpu| gpu > 0) {
            return Err(EciError::missing("InstanceType"));
        }
    }
    let given =
        Asked { cpu: tree.number("Cpu")?.unwrap_or(0.0), memory: tree.number("Memory")?.unwrap_or(0.0) };
    if given.cpu < 0.0 || given.memory < 0.0 {
        return Err(EciError::new(
            400,
            "InvalidParameter.CPU.Memory",
            "The specified CPU and memory are not supported.",
        ));
    }
    if given.cpu > 0.0
        && given.memory > 0.0
        && (sum.cpu > given.cpu + 1e-9 || sum.memory > given.memory + 1e-9)
    {
        let message = "The containers' CPU or memory is more than the group's.";
        return Err(EciError::new(400, "InvalidParameter.CPU.Memory", message));
    }
    let or = |given: f64, sum: f64, default: f64| {
        if given > 0.0 {
            given
        } else if sum > 0.0 {
            sum
        } else {
            default
        }
    };
    let asked = Asked { cpu: or(given.cpu, sum.cpu, 2.0), memory: or(given.memory, sum.memory, 4.0) };
    Ok(Billed { size: size::round(asked, region, spot, exact)?, machines, spot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(more: &str) -> Tree {
        let base = "ContainerGroupName=web-1&Container.1.Name=c&Container.1.Image=i";
        let text = format!("{base}&{more}");
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Tree::read(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    fn check(more: &str, expected: &str) {
        let said = group(&tree(more)).err().map_or_else(String::new, |e| e.code);
        assert_eq!(said, expected, "{more}");
    }

    #[test]
    fn what_is_refused() {
        check("", "");
        check("ContainerGroupName=Web", "InvalidParameter");
        check("ContainerGroupName=a", "InvalidParameter");
        check("ContainerGroupName=a.b", "InvalidParameter");
        check("ContainerGroupName=", "MissingParameter");
        check("Container.2.Name=d", "MissingParameter");
        check("Container.2.Name=c&Container.2.Image=i", "InvalidParameter.DuplicatedName");
        check("InitContainer.1.Name=c&InitContainer.1.Image=i", "InvalidParameter.DuplicatedName");
        check("RestartPolicy=Sometimes", "InvalidParameter");
        check(
            &format!(
                "Container.1.EnvironmentVar.1.Key=A&Container.1.EnvironmentVar.1.Value={}",
                "x".repeat(256)
            ),
            "",
        );
        check(
            &format!(
                "Container.1.EnvironmentVar.1.Key=A&Container.1.EnvironmentVar.1.Value={}",
                "x".repeat(257)
            ),
            "InvalidParameter.LengthExceeded",
        );
        check(
            "Container.1.EnvironmentVar.1.Key=A&Container.1.EnvironmentVar.1.FieldRef.FieldPath=status.podIP",
            "",
        );
        check(
            "Container.1.EnvironmentVar.1.Key=A&Container.1.EnvironmentVar.1.FieldRef.FieldPath=metadata.name",
            "InvalidParameter",
        );
        check("Container.1.VolumeMount.1.Name=v&Container.1.VolumeMount.1.MountPath=/x", "InvalidParameter");
        check(
            "Volume.1.Name=v&Volume.1.Type=EmptyDirVolume&Container.1.VolumeMount.1.Name=v&Container.1.VolumeMount.1.MountPath=/x",
            "",
        );
        check(
            "Volume.1.Name=v&Volume.1.Type=EmptyDirVolume&Volume.2.Name=v&Volume.2.Type=NFSVolume",
            "InvalidParameter.DuplicatedVolumeName",
        );
        check("Volume.1.Name=v&Volume.1.Type=Secret", "InvalidParameter");
        check("Volume.1.Name=v&Volume.1.Type=HostPathVolume", "FeatureAccessRestricted");
        check("Container.1.LivenessProbe.PeriodSeconds=3", "InvalidParameter");
        check("Container.1.LivenessProbe.HttpGet.Port=web", "InvalidParameter");
        check("Container.1.LivenessProbe.HttpGet.Port=80", "");
        check("SpotStrategy=SpotWithPriceLimit", "MissingParameter");
        check("VSwitchId=1,2,3,4,5,6,7,8,9,10,11", "InvalidParameter");
    }

    #[test]
    fn more_config_files_than_60_kib_are_refused() {
        let content = STANDARD.encode(vec![b'x'; CONFIG_FILES_MAX]);
        let volume = |content: &str| {
            let file = "Volume.1.ConfigFileVolume.ConfigFileToPath.1";
            let encoded: String = url::form_urlencoded::byte_serialize(content.as_bytes()).collect();
            format!("Volume.1.Name=v&Volume.1.Type=ConfigFileVolume&{file}.Path=a&{file}.Content={encoded}")
        };
        check(&volume(&content), "");
        check(&volume(&STANDARD.encode(vec![b'x'; CONFIG_FILES_MAX + 1])), "InvalidParameter.LengthExceeded");
        check(&volume("???"), "InvalidParameter");
    }

    #[test]
    fn sizes_come_from_the_group_then_its_containers_then_the_default() {
        let size = |more: &str| {
            billed(&tree(more), "us-west-1", false)
                .map(|b| size::cores_and_gib(b.size))
                .map(|a| (a.cpu, a.memory))
                .map_err(|e| e.code)
        };
        assert_eq!(size(""), Ok((2.0, 4.0)));
        assert_eq!(size("Container.1.Cpu=0.1&Container.1.Memory=0.2"), Ok((0.25, 0.5)));
        assert_eq!(size("Cpu=1.0&Memory=2.0&Container.1.Cpu=0.5&Container.1.Memory=1"), Ok((1.0, 2.0)));
        assert_eq!(
            size("Cpu=1&Memory=2&Container.1.Cpu=2&Container.1.Memory=1"),
            Err("InvalidParameter.CPU.Memory".into())
        );
        assert_eq!(size("InstanceType=ecs.c6.large,ecs.g6.large"), Ok((2.0, 4.0)));
        assert_eq!(size("InstanceType=nonsense"), Err("InvalidInstanceTypeForEciBuy".into()));
        assert_eq!(size("Cpu=65&Memory=2"), Err("InvalidParameter.CPU.Memory".into()));
    }
}
