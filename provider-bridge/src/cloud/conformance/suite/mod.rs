//! The table of who makes which promise; the promises, one function each, are in the modules below.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::cloud::InstanceEvent;
use crate::streams::{ExecClientEnd, ExecOutcome, ExecRequest, LogOptions, exec_pair};

mod disks;
mod life;
mod lists;
mod places;
mod refusals;
mod streams;

use disks::*;
use life::*;
use lists::*;
use places::*;
use refusals::*;
use streams::*;

/// Longer than any step here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every promise over a provider; `$open` makes its [`Subject`].
macro_rules! suite {
    ($($provider:ident: $open:path;)*) => {$(
        mod $provider {
            suite!(@promises $open:
                an_instance_is_told_with_its_identity,
                the_same_uid_is_adopted,
                a_pod_that_was_changed_keeps_its_instance,
                adopted_after_a_restart,
                a_lost_answer_makes_no_second_instance,
                a_successor_of_the_same_name_is_another,
                a_successor_gets_the_disk_of_its_predecessor_and_no_other,
                deletion_is_of_one_incarnation_and_can_be_repeated,
                what_is_gone_can_be_deleted_again,
                the_list_is_whole_or_an_error,
                strangers_are_not_listed,
                watching_begins_with_everything,
                what_cannot_run_is_refused_and_nothing_is_made,
                hidden_containers_are_in_no_status,
                throttling_is_told_with_a_time_to_wait,
                what_is_sold_out_is_told_and_may_be_back,
                what_is_sold_out_here_is_bought_at_the_next_place_and_nowhere_twice,
                what_may_have_been_bought_is_not_bought_elsewhere,
                an_account_that_cannot_buy_is_no_fault_of_the_pod,
                what_is_taken_away_is_told,
                an_odd_state_ends_nothing,
                a_container_that_restarts_is_told,
                logs_are_what_was_said_or_said_not_to_be_had,
                a_session_carries_what_is_typed_and_ends_as_the_command_ends,
                a_client_that_leaves_ends_the_command,
                whoever_attaches_meets_the_container_or_its_output,
                a_port_carries_bytes_both_ways,
                a_list_under_churn_shows_once_what_stays,
                secrets_are_in_no_text,
                the_account_is_named,
            );
        }
    )*};
    (@promises $open:path: $($promise:ident,)*) => {$(
        #[tokio::test]
        async fn $promise() {
            super::$promise(&$open().await).await;
        }
    )*};
}

suite! {
    mock: crate::cloud::conformance::subjects::mock;
    cci: crate::cloud::conformance::subjects::cci;
    cci2: crate::cloud::conformance::subjects::cci2;
    eci: crate::cloud::conformance::subjects::eci;
    cube: crate::cloud::conformance::subjects::cube;
    kubernetes: crate::cloud::conformance::subjects::kubernetes;
    kubernetes_in_one_namespace: crate::cloud::conformance::subjects::kubernetes_in_one_namespace;
}
