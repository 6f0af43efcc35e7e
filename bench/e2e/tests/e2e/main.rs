//! End to end on the real control plane, with unmodified kubectl: every case is one behaviour that users rely on.
//!
//! `cargo build --workspace && cargo test --workspace --test e2e -- NAME` runs the cases whose names contain NAME; the build
//! makes the programs of burst that the lab starts.

use std::process::ExitCode;

use e2e::{Case, cases};
use lab::CloudRuntime;

mod alibaba;
mod cci2;
mod cloud_answers;
mod clouds;
mod daemons;
mod deletion;
mod drivers;
#[path = "../shared/eci.rs"]
mod eci;
mod explain;
mod governed;
mod home;
mod huawei;
#[path = "../shared/huawei_claims.rs"]
mod huawei_claims;
mod limits;
mod other_cluster;
mod outage;
mod placement;
mod policies;
mod proof;
mod providers;
mod refusal;
mod resizes;
mod scale_in;
mod stockout;
mod topology;
mod ucloud;
mod ucloud_disks;
mod ucloud_money;
mod usage;
mod verify;
mod virtual_kubelet;
mod waits;
mod waves;
mod wire;

const CASES: &[(&str, Case)] = cases![
    placement::label_on_the_deployment_only,
    placement::enforce_goes_to_the_cloud,
    placement::off_and_unlabelled_stay_local,
    placement::local_prefer_fills_real_nodes_first,
    placement::auto_bursts_when_local_is_full,
    placement::selector_and_toleration_without_label,
    placement::node_name_without_label,
    placement::tolerating_daemon_set_is_kept_away,
    placement::hard_spread_is_as_without_burst,
    refusal::unknown_value,
    refusal::contradicting_keys,
    refusal::host_path_with_enforce,
    deletion::pod,
    deletion::force_deleted_pod,
    deletion::node_comes_back_with_its_pods,
    outage::bridge_killed_in_the_middle_of_creates,
    outage::scheduler_down_promises_hold,
    outage::wrong_signature_is_refused,
    limits::ceiling_holds_through_a_crash_and_flows_on_when_raised,
    limits::waiting_pods_are_bound_within_a_second_of_the_deadline,
    limits::a_budget_pays_for_three_and_not_one_more,
    limits::rollout_with_surge_stays_below_the_ceiling,
    limits::gang_waits_whole_and_goes_whole,
    limits::ceiling_on_real_nodes_sends_the_rest_to_the_cloud,
    limits::what_a_deleted_pod_leaves_the_next_one_gets,
    resizes::past_the_ceiling_or_the_budget_is_refused,
    waits::an_autoscaler_gets_its_time,
    waits::preemption_is_tried_before_the_cloud,
    waves::five_hundred_pods_through_a_hundred_places,
    stockout::deployment_moves_to_the_other_zone,
    stockout::accepted_without_a_place,
    stockout::job_that_ignores_disruptions,
    stockout::bare_pod_keeps_trying,
    stockout::without_a_grant_nothing_is_created,
    scale_in::cloud_pods_go_first_in_the_users_order,
    home::pods_come_home_one_by_one,
    home::a_stateful_set_comes_home_under_its_names,
    home::a_disruption_budget_keeps_them,
    cloud_answers::refusals_are_told_and_survived,
    clouds::eci_and_cube_stand_beside,
    daemons::an_agent_runs_beside_burst_pods,
    daemons::a_host_path_is_named,
    policies::definitions_are_accepted_and_explained,
    policies::contradictions_are_refused,
    policies::columns_show_use,
    governed::label_on_the_pod_opens_nothing,
    governed::what_the_in_process_policy_opened_is_taken_back,
    governed::webhook_down_lets_nobody_past_the_limit,
    governed::local_prefer_that_preempts_asks_the_extender,
    topology::ten_spread_replicas_on_one_virtual_node,
    topology::the_constraint_is_named,
    topology::zones_of_virtual_nodes_are_spread_over,
    explain::works_while_the_scheduler_is_down,
    explain::what_it_says_is_true,
    explain::a_held_pod_names_its_ceiling,
    proof::weights_are_those_of_the_genuine_scheduler,
    proof::refused_files_are_those_that_do_not_start,
    proof::adversarial_pods_stay_local,
    providers::tiers_over_two_providers,
    providers::gpu_tiers,
    providers::a_virtual_node_that_comes_late_takes_those_that_wait,
    cci2::deployment_in_a_size_of_the_second,
    cci2::wrong_values_are_refused,
    cci2::another_project_is_refused_and_nothing_is_deleted,
    eci::deployment_with_the_vendors_label,
    eci::wrong_annotation_is_refused,
    other_cluster::a_deployment_bursts_into_another_cluster,
    other_cluster::streams_come_from_the_other_cluster,
    eci::another_zone_when_the_first_is_sold_out,
    eci::ways_of_the_vendors_manual,
    huawei::the_example_of_the_manual,
    huawei::label_on_deployment_stateful_set_and_job,
    huawei::load_balancers_are_warned_of,
    huawei::warnings_of_cci_are_told_on_the_pod,
    huawei_claims::claims_of_sfs_are_mounted,
    huawei::uninstalling_removes_the_namespace,
    alibaba::kubectl_run_with_the_label,
    alibaba::virtual_nodes_by_number,
    alibaba::the_old_pages_node_and_variables,
    virtual_kubelet::the_mock_outside_the_cluster,
    ucloud::examples_of_the_vendors_page,
    ucloud::wrong_pods_are_refused_with_the_remedy,
    ucloud::disabled_then_deleted,
    ucloud::a_stateful_set_keeps_its_names,
    ucloud::logs_and_commands_say_where,
    ucloud_disks::the_vendors_disk_example,
    ucloud_money::an_address_is_bought_and_goes_with_its_pod,
    ucloud_money::what_is_paid_in_advance_is_bought_once,
    usage::of_pods_at_cci,
    usage::of_pods_at_eci,
    usage::of_pods_at_cube,
    usage::another_cluster_without_metrics_server_is_said,
    drivers::same_outcome_from_every_driver,
    wire::protobuf_says_what_json_says,
    verify::shipped_configuration_is_proved_against_live_taints,
];

fn main() -> ExitCode {
    e2e::main("e2e", CloudRuntime::Script, CASES)
}
