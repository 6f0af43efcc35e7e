use super::*;

#[tokio::test(start_paused = true)]
async fn create_start_delete() {
    let rig = Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_secs(1), Duration::from_secs(5)));
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    let stored = rig.api.pod("shop", "web").unwrap();
    assert_eq!(stored["status"]["hostIP"], "198.18.0.1");
    assert_eq!(stored["status"]["podIP"], "198.18.64.7");
    assert_eq!(stored["status"]["podIPs"], json!([{ "ip": "198.18.64.7" }]));
    let scheduled = condition(&stored, "PodScheduled").unwrap();
    assert_eq!(scheduled.get("reason"), None, "the cloud's own scheduling is its own business");
    assert_eq!(condition(&stored, "Ready").unwrap()["status"], "True");

    rig.delete("web", 30).await;
    after(3).await;
    assert!(rig.api.pod("shop", "web").is_some(), "kept until the cloud confirms");
    rig.gone("web").await;
    assert_eq!(rig.instances(), 0);
    assert_eq!(rig.cloud.lock().deletes, [("u1".to_owned(), 30)]);
    assert_eq!(rig.events_of("web"), ["ProviderCreateSuccess", "ProviderDeleteSuccess"]);
    // One of the deletes is the user's.
    let writes =
        rig.api.requests_of("PATCH", "/pods/").len() + rig.api.requests_of("DELETE", "/pods/").len() - 1;
    assert!(writes <= 3, "{writes} writes");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_at_once_costs_two_writes() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.delete("web", 30).await;
    rig.gone("web").await;
    assert_eq!(rig.api.requests_of("PATCH", "/pods/").len(), 1);
    assert_eq!(rig.api.requests_of("DELETE", "/pods/").len(), 2, "the user's and the final one");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_slowly_shows_what_it_waits_for() {
    let rig = Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_secs(60), Duration::from_secs(1)));
    rig.api.put(pod("web", "u1"));
    let reason = |rig: &Rig| {
        let stored = rig.api.pod("shop", "web").unwrap_or_default();
        stored.pointer("/status/containerStatuses/0/state/waiting/reason").cloned()
    };
    eventually("told", || reason(&rig) == Some(json!("ContainerCreating"))).await;
    assert_eq!(rig.phase("web"), "Pending");
    rig.running("web").await;
}

#[tokio::test(start_paused = true)]
async fn deleting_what_the_cloud_no_longer_has() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.cloud.lose("u1", false);
    rig.delete("web", 30).await;
    rig.gone("web").await;
    assert_eq!(rig.instances(), 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_errors_are_retried_until_the_cloud_accepts() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.cloud.lock().delete_faults.extend([
        CloudError::Retryable("500".into()),
        CloudError::Auth("403".into()),
        CloudError::Throttled { message: "slow down".into(), after: Duration::from_secs(5) },
    ]);
    rig.delete("web", 30).await;
    after(1).await;
    assert!(rig.api.pod("shop", "web").is_some());
    rig.gone("web").await;
    assert_eq!(rig.instances(), 0);
    assert!(rig.events_of("web").contains(&"ProviderDeleteFailed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_orphan_found_at_start_is_deleted_and_others_are_left_alone() {
    let cloud = FakeCloud::new();
    cloud.put("orphan", "shop", "old", NODE, "Running");
    cloud.put("foreign", "shop", "other", "burst-of-somebody-else", "Running");
    let rig = Rig::with(FakeApi::new(), cloud);
    after(45).await;
    assert_eq!(rig.instances(), 2, "too young, seen once");
    eventually("orphan deleted", || rig.instances() == 1).await;
    after(300).await;
    assert_eq!(rig.cloud.lock().deletes.len(), 1);
    assert!(rig.cloud.phase("foreign").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_would_delete_most_instances_stops() {
    let cloud = FakeCloud::new();
    for n in 0..20 {
        cloud.put(&format!("u{n}"), "shop", &format!("p{n}"), NODE, "Running");
    }
    // A restored etcd: the API server knows none of them.
    let rig = Rig::with(FakeApi::new(), cloud);
    after(3600).await;
    assert_eq!(rig.instances(), 20);
    assert!(rig.cloud.lock().deletes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_force_deleted_pods_instance_is_stopped() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.api.remove("v1", "pods", "shop", "web");
    eventually("stopped", || rig.instances() == 0).await;
    assert_eq!(rig.cloud.lock().deletes, [("u1".to_owned(), 0)]);
}

/// virtual-kubelet removes a deleting pod without running containers before the provider is asked: a create in flight
/// leaks (`node/podcontroller.go`).
#[tokio::test(start_paused = true)]
async fn deleted_while_its_create_is_in_flight() {
    let rig = Rig::new();
    rig.cloud.lock().create_faults.push_back(CreateFault::Late(Duration::from_secs(2)));
    rig.api.put(pod("web", "u1"));
    eventually("create sent", || !rig.cloud.lock().creates.is_empty()).await;
    rig.delete("web", 30).await;
    rig.gone("web").await;
    after(120).await;
    assert_eq!(rig.instances(), 0, "a billed instance without a pod");
}

/// virtual-kubelet drops delete events that arrive as tombstones (`node/podcontroller.go`).
#[tokio::test(start_paused = true)]
async fn a_pod_removed_while_the_watch_was_down_is_noticed() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.api.put(pod("api", "u2"));
    rig.running("web").await;
    rig.running("api").await;
    rig.api.fault(Fault::refused().on("WATCH", "/pods").times(3));
    rig.api.fault(Fault::refused().on("GET", "/pods").times(3));
    rig.api.close_watches();
    rig.api.remove("v1", "pods", "shop", "web");
    rig.api.expire();
    eventually("stopped", || rig.instances() == 1).await;
    assert!(rig.cloud.phase("u2").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_successor_of_the_same_name_waits_for_its_predecessor() {
    let rig = Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_millis(100), Duration::from_secs(20)));
    rig.api.put(pod("db-0", "u1"));
    rig.running("db-0").await;
    rig.api.remove("v1", "pods", "shop", "db-0");
    rig.api.put(pod("db-0", "u2"));
    rig.running("db-0").await;
    assert_eq!(rig.cloud.lock().history, ["+u1", "-u1", "+u2"], "never both at once");
}

#[tokio::test(start_paused = true)]
async fn a_finished_pod_keeps_its_result_and_stops_billing() {
    let rig = Rig::new();
    rig.api.put(pod("job", "u1"));
    rig.running("job").await;
    rig.cloud.set_phase("u1", "Succeeded");
    eventually("saved", || rig.phase("job") == "Succeeded").await;
    after(20).await;
    assert_eq!(rig.instances(), 1, "kept for its time-to-live");
    eventually("stopped", || rig.instances() == 0).await;
    after(600).await;
    assert_eq!(rig.phase("job"), "Succeeded");
    assert_eq!(rig.cloud.lock().creates.len(), 1, "never run again");
}

/// The result came and the instance went before it could be written.
#[tokio::test(start_paused = true)]
async fn a_result_outlives_the_instance_while_the_api_server_is_down() {
    let rig = Rig::new();
    rig.api.put(pod("job", "u1"));
    rig.running("job").await;
    rig.api.fault(Fault::status(503).on("PATCH", "/status").times(4));
    rig.cloud.set_phase("u1", "Succeeded");
    rig.cloud.lose("u1", true);
    eventually("saved", || rig.phase("job") == "Succeeded").await;
    assert_eq!(rig.cloud.lock().creates.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn killed_in_the_middle_of_fifty_creates_nothing_is_lost_leaked_or_doubled() {
    let cloud = FakeCloud::slow(Duration::from_millis(300), Duration::from_millis(300));
    let mut rig = Rig::with(FakeApi::new(), cloud);
    rig.cloud.lock().list_lag = Duration::from_secs(1);
    for n in 0..50 {
        rig.api.put(pod(&format!("p{n}"), &format!("u{n}")));
    }
    for kill_at in [3, 17, 30, 41] {
        eventually("some creates", || rig.cloud.lock().creates.len() >= kill_at).await;
        let (api, cloud) = rig.kill();
        cloud
            .lock()
            .create_faults
            .extend([CreateFault::LostAnswer, CreateFault::Late(Duration::from_secs(1))]);
        rig = Rig::with(api, cloud);
    }
    for n in 0..50 {
        rig.running(&format!("p{n}")).await;
    }
    assert_eq!(rig.instances(), 50);
    let started = rig.cloud.lock().history.len();
    assert_eq!(started, 50, "each was started once and none was stopped: {:?}", rig.cloud.lock().history);
    for n in 0..50 {
        rig.delete(&format!("p{n}"), 30).await;
    }
    eventually("all gone", || rig.instances() == 0).await;
    for n in 0..50 {
        rig.gone(&format!("p{n}")).await;
    }
}

/// Alibaba advises 3000 pods per virtual node. More than three times as many run, and are found again after a restart.
#[tokio::test(start_paused = true)]
async fn ten_thousand_pods_on_one_virtual_node() {
    const PODS: usize = 10_000;
    let wide = || Settings { cloud_calls: 64, api_calls: 64, ..settings() };
    let rig = Rig::tuned(FakeApi::new(), FakeCloud::new(), wide());
    for n in 0..PODS {
        rig.api.put(pod(&format!("p{n}"), &format!("u{n}")));
    }
    eventually("an instance for each", || rig.instances() == PODS).await;
    for n in 0..PODS {
        rig.running(&format!("p{n}")).await;
    }
    let (api, cloud) = rig.kill();
    api.clear_requests();
    let rig = Rig::tuned(api, cloud, wide());
    after(120).await;
    assert_eq!((rig.instances(), rig.cloud.lock().creates.len()), (PODS, PODS));
    assert!(rig.api.requests_of("PATCH", "/pods/").is_empty(), "what is stored is true already");
}

#[tokio::test(start_paused = true)]
async fn restarted_while_pods_run_nothing_is_written_or_created() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    let (api, cloud) = rig.kill();
    api.clear_requests();
    let rig = Rig::with(api, cloud);
    after(120).await;
    assert_eq!(rig.cloud.lock().creates.len(), 1);
    assert!(rig.api.requests_of("PATCH", "/pods/").is_empty(), "what is stored is true already");
}

#[tokio::test(start_paused = true)]
async fn readiness_gates_of_others_decide_ready() {
    let rig = Rig::new();
    let mut gated = pod("web", "u1");
    gated["spec"]["readinessGates"] = json!([{ "conditionType": "lb/registered" }]);
    rig.api.put(gated);
    rig.running("web").await;
    let ready =
        |rig: &Rig| condition(&rig.api.pod("shop", "web").unwrap(), "Ready").unwrap()["status"].clone();
    assert_eq!(ready(&rig), "False");
    let mut stored = rig.api.pod("shop", "web").unwrap();
    let gate = json!({ "type": "lb/registered", "status": "True" });
    stored["status"]["conditions"].as_array_mut().unwrap().push(gate);
    rig.api.put(stored);
    eventually("ready", || ready(&rig) == "True").await;
}

#[tokio::test(start_paused = true)]
async fn a_cordoned_node_makes_no_instance_and_keeps_the_running_ones() {
    let rig = Rig::new();
    rig.api.put(pod("old", "u1"));
    rig.running("old").await;
    let (api, cloud) = rig.kill();
    let rig = Rig::tuned(api, cloud, Settings { cordoned: true, ..settings() });
    rig.api.put(pod("new", "u2"));
    after(120).await;
    assert_eq!(rig.cloud.lock().creates, ["u1"]);
    assert_eq!(rig.phase("old"), "Running");
}

#[tokio::test(start_paused = true)]
async fn the_kubelet_port_sees_what_runs_and_not_what_is_being_deleted() {
    let rig = Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_millis(50), Duration::from_secs(30)));
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    assert_eq!(rig.handle.pods(true).await.unwrap().len(), 1);
    assert_eq!(rig.handle.instance("u1").await.unwrap().unwrap().id, "i-u1");
    rig.delete("web", 30).await;
    after(1).await;
    assert_eq!(rig.handle.pods(true).await.unwrap().len(), 0);
    assert_eq!(rig.handle.pods(false).await.unwrap().len(), 1);
    assert_eq!(rig.handle.find("shop", "web").await.unwrap().unwrap().uid, "u1");
}

#[tokio::test(start_paused = true)]
async fn cancellation_ends_the_driver_in_time() {
    let rig = Rig::new();
    rig.cloud.lock().create_faults.push_back(CreateFault::Hang);
    rig.api.put(pod("web", "u1"));
    eventually("create sent", || !rig.cloud.lock().creates.is_empty()).await;
    rig.cancel.cancel();
    tokio::time::timeout(Duration::from_secs(15), rig.task).await.unwrap().unwrap();
}
