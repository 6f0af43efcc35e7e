//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::explain::Explain;
use crate::status::Status;

/// Asks burst, and about burst.
#[derive(Debug, Parser)]
#[command(name = "kubectl burst", bin_name = "kubectl burst", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Proves that localPrefer holds with a KubeSchedulerConfiguration, or says what weight it needs
    ///
    /// Reads the file and does the arithmetic of every profile: by taint, the weight of TaintToleration against everything
    /// else that scores (needs no extender call and holds while burst is down); by extender, the weight of burst's extender
    /// against all plugins.
    ///
    /// Exit code 0: localPrefer is proved for every profile. 1: it is not. 2: the file or the cluster could not be read.
    Verify(Verify),
    /// Converts scheduling objects of other products into BurstPolicy objects
    ///
    /// Reads Huawei's and Baidu's ScheduleProfile, Alibaba's ResourcePolicy and eci-profile's Selector; writes our YAML to
    /// standard output, and to standard error what became of each field: maps, approximated (how) or refused (why).
    ///
    /// Exit code 0: every field of the specs was taken over. 1: some were refused, or the result contradicts itself.
    /// 2: the file could not be read.
    Import(Import),
    /// Says why a pod is where it is, or waits, and the smallest changes that would decide otherwise
    ///
    /// Reads the API server alone and decides again as of now, with the engine of burst-scheduler; works while
    /// burst-scheduler is down.
    Explain(Explain),
    /// Shows capacity and use, tiers, budgets, stock-outs, pods held back, versions and the leader on one screen
    Status(Status),
    /// Plays a trace of pods and nodes under policies: who would have gone where, how long waited, what it would have cost
    ///
    /// The engine is the one that decides in the cluster, in virtual time. Beside every policy file three built-in
    /// scenarios are played: always-local, always-cloud, and the stock scheduler with a taint alone.
    Simulate(crate::simulate::Simulate),
    /// Prints the version
    Version,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl burst verify deploy/scheduler/kube-scheduler-config.yaml\n  \
                  kubectl burst verify /etc/kubernetes/kube-scheduler-config.yaml --live")]
pub(crate) struct Verify {
    /// The configuration file that kube-scheduler gets with --config
    pub(crate) file: PathBuf,
    /// Judge this profile only (schedulerName)
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Count the PreferNoSchedule taints on the cluster's nodes, instead of assuming one on each virtual node and none
    /// on real nodes
    #[arg(long)]
    pub(crate) live: bool,
    /// Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config if not given. Implies --live
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Least gap on the 0-10 scale that burst's extender leaves between real and virtual nodes for localPrefer pods
    #[arg(long, value_name = "POINTS", default_value_t = 10, value_parser = clap::value_parser!(i64).range(0..=10))]
    pub(crate) extender_gap: i64,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl get resourcepolicies -A -o yaml | kubectl burst import - > policies.yaml\n  \
                  kubectl burst import profile.yaml | kubectl apply -f -"
)]
pub(crate) struct Import {
    /// File with one or more objects, or - for standard input
    pub(crate) file: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
        let parsed = Args::try_parse_from(["kubectl-burst", "verify", "f.yaml", "--live"]).unwrap();
        assert!(matches!(parsed.command, Command::Verify(v) if v.live && v.extender_gap == 10));
        assert!(Args::try_parse_from(["kubectl-burst", "verify"]).is_err());
        let parsed =
            Args::try_parse_from(["kubectl-burst", "explain", "deploy/web", "-n", "shop", "-o", "json"]);
        assert!(matches!(parsed.unwrap().command, Command::Explain(e) if e.what == "deploy/web"));
        assert!(Args::try_parse_from(["kubectl-burst", "status", "--context", "a"]).is_ok());
    }
}
