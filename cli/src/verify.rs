//! `kubectl burst verify`: reads the file, perhaps the cluster, and asks `policies::proof`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use policies::proof::{Facts, Verdict, verify};
use policies::scheduler_config::SchedulerConfig;

use crate::args::Verify;
use crate::live::{self, Live};
use crate::report;

/// The report, and whether every profile asked about is proved.
pub(crate) async fn run(args: &Verify) -> Result<(String, bool)> {
    let config = read(&args.file)?;
    let live = if args.live || args.kubeconfig.is_some() {
        Some(live::read(args.kubeconfig.as_deref()).await?)
    } else {
        None
    };
    judge(&config, args, live.as_ref())
}

fn judge(config: &SchedulerConfig, args: &Verify, live: Option<&Live>) -> Result<(String, bool)> {
    let seen = live.map_or(Facts::SHIPPED, Live::facts);
    let mut verdicts = verify(config, Facts { gap: args.extender_gap, ..seen });
    if let Some(name) = &args.profile {
        let have: Vec<String> = verdicts.iter().map(|v| v.profile.clone()).collect();
        verdicts.retain(|v| v.profile == *name);
        if verdicts.is_empty() {
            bail!("no profile is named {name:?}; the file has {}", have.join(", "));
        }
    }
    let outside = |v: &Verdict| live.is_some_and(|l| l.outside(v).is_some());
    let proved = verdicts.iter().all(|v| v.proved() && !outside(v));
    Ok((report::render(&args.file, &verdicts, live), proved))
}

/// Reads the file; errors name it and, where there is one, the line.
fn read(path: &Path) -> Result<SchedulerConfig> {
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {file}"))?;
    parse(&text).with_context(|| format!("{file} is not a usable KubeSchedulerConfiguration"))
}

fn parse(text: &str) -> Result<SchedulerConfig> {
    let config: SchedulerConfig = serde_saphyr::from_str(text)?;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

    fn args(profile: Option<&str>) -> Verify {
        let profile = profile.map(str::to_owned);
        Verify { file: "f.yaml".into(), profile, live: false, kubeconfig: None, extender_gap: 10 }
    }

    #[track_caller]
    fn check(rest: &str, proved: bool, has: &[&str]) {
        let config = parse(&format!("{HEAD}{rest}")).unwrap();
        let (text, yes) = judge(&config, &args(None), None).unwrap();
        assert_eq!(yes, proved, "{text}");
        for part in has {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    fn taint_weight(weight: u32) -> String {
        format!(
            "profiles:\n- schedulerName: a\n  plugins:\n    score:\n      enabled:\n      - {{name: TaintToleration, weight: {weight}}}\n"
        )
    }

    #[test]
    fn proved_and_not() {
        check("", false, &["profile default-scheduler", "needs weight >= 13", "not proved"]);
        check(&taint_weight(12), false, &["not proved, needs weight >= 13"]);
        check(&taint_weight(20), true, &["20 x 100 =   2000", "margin 800: proved"]);
    }

    #[test]
    fn one_profile_of_two() {
        let config = parse(&format!("{HEAD}{}- schedulerName: b\n", taint_weight(20))).unwrap();
        assert!(!judge(&config, &args(None), None).unwrap().1);
        assert!(judge(&config, &args(Some("a")), None).unwrap().1);
        let error = judge(&config, &args(Some("c")), None).unwrap_err().to_string();
        assert_eq!(error, "no profile is named \"c\"; the file has a, b");
    }

    #[track_caller]
    fn refused(text: &str, has: &[&str]) {
        let error = format!("{:#}", parse(text).unwrap_err());
        for part in has {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn bad_files_name_line_and_field() {
        refused("apiVersion: v1\nkind: Pod\n", &["\"Pod\"", "not KubeSchedulerConfiguration"]);
        refused(&format!("{HEAD}profiles: [\n"), &["line"]);
        refused(&format!("{HEAD}profilez: []\n"), &["profilez", "line 3"]);
        refused(&format!("{HEAD}percentageOfNodesToScore: many\n"), &["line 3"]);
        refused("", &["not KubeSchedulerConfiguration"]);
    }
}
