#![expect(clippy::print_stderr, reason = "a failing run must say why")]
//! End to end with instances that are real process trees: what only a running container can show.

use std::process::ExitCode;

use e2e::{Case, cases};
use lab::CloudRuntime;

#[path = "../e2e/cci2.rs"]
mod cci2;
mod containers;
#[path = "../shared/eci.rs"]
mod eci;
mod forwarding;
#[path = "../shared/huawei_claims.rs"]
mod huawei_claims;
mod interop;
mod streams;

const CASES: &[(&str, Case)] = cases![
    streams::logs_with_every_option,
    streams::logs_follow_until_the_end,
    streams::exec_exit_code_and_separate_outputs,
    streams::exec_passes_standard_input,
    streams::exec_over_spdy_and_websocket,
    streams::unknown_container_is_named,
    forwarding::port_forward_over_spdy_and_websocket,
    forwarding::attach_shows_output,
    streams::kubelet_port_is_closed_to_strangers,
    containers::environment_volumes_and_one_network,
    containers::job_succeeds_and_its_instance_is_released,
    containers::exit_code_of_a_failed_pod,
    containers::crashing_container_is_restarted,
    containers::image_that_does_not_exist,
    interop::services_reach_both_sides,
    interop::services_reach_both_sides_at_the_second,
    cci2::logs_and_commands,
    eci::deployment_with_the_vendors_label,
    eci::logs_and_commands,
    huawei_claims::claims_of_sfs_are_mounted,
];

fn main() -> ExitCode {
    // Out here, for the lab has no network.
    let built = tokio::runtime::Runtime::new().map(|tokio| tokio.block_on(lab::ensure_service_proxy()));
    if let Ok(Err(error)) = built {
        eprintln!("e2e-process: {error:#}");
        return ExitCode::FAILURE;
    }
    e2e::main("e2e-process", CloudRuntime::Process, CASES)
}
