use super::*;

fn refused(error: CloudError) -> CreateFault {
    CreateFault::Refused(error)
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_and_the_instance_adopted() {
    let rig = Rig::new();
    rig.cloud.lock().create_faults.push_back(CreateFault::LostAnswer);
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    after(60).await;
    assert_eq!(
        rig.cloud.lock().creates,
        ["u1"],
        "an unknown answer is resolved by looking, never by creating again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_instance_and_a_lagging_list_do_not_make_two() {
    let rig = Rig::new();
    rig.cloud.lock().list_lag = Duration::from_secs(2);
    for n in 0..10 {
        rig.cloud.lock().create_faults.push_back(CreateFault::Late(Duration::from_secs(2)));
        rig.api.put(pod(&format!("p{n}"), &format!("u{n}")));
    }
    for n in 0..10 {
        rig.running(&format!("p{n}")).await;
    }
    assert_eq!(rig.cloud.lock().creates.len(), 10);
    assert_eq!(rig.cloud.lock().doubled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_create_without_any_answer_is_given_up_looked_up_and_repeated() {
    let rig = Rig::new();
    rig.cloud.lock().create_faults.push_back(CreateFault::Hang);
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    assert_eq!(rig.cloud.lock().creates.len(), 2);
    assert_eq!(rig.cloud.lock().doubled, 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_cloud_refuses_is_said_on_the_pod_and_never_fails_it() {
    let cases = [
        ("Capacity", CloudError::Capacity("no 8c16g in az1".into())),
        ("Invalid", CloudError::Invalid("volumes[0].hostPath is not supported".into())),
        ("Auth", CloudError::Auth("signature does not match".into())),
        ("Account", CloudError::Account("in arrears".into())),
    ];
    for (reason, error) in cases {
        let rig = Rig::new();
        rig.cloud.lock().create_faults.extend([
            refused(error.clone()),
            refused(error.clone()),
            refused(error.clone()),
        ]);
        rig.api.put(pod("web", "u1"));
        eventually(reason, || {
            condition(&rig.api.pod("shop", "web").unwrap(), "burst.io/Materialised").is_some()
        })
        .await;
        let stored = rig.api.pod("shop", "web").unwrap();
        let told = condition(&stored, "burst.io/Materialised").unwrap();
        assert_eq!((told["status"].as_str(), told["reason"].as_str()), (Some("False"), Some(reason)));
        assert_eq!(told["message"], error.to_string());
        assert_eq!(stored["status"]["phase"], "Pending");
        let waiting = &stored["status"]["containerStatuses"][0]["state"]["waiting"];
        assert_eq!(waiting["reason"], reason);
        rig.running("web").await;
        let stored = rig.api.pod("shop", "web").unwrap();
        assert_eq!(condition(&stored, "burst.io/Materialised").unwrap()["status"], "True");
        let events = rig.events_of("web").into_iter().filter(|event| event != "StockOut").collect::<Vec<_>>();
        assert_eq!(events, ["ProviderCreateFailed", "ProviderCreateSuccess"], "one event per change of mind");
        assert_eq!(rig.cloud.lock().prepared > 1, reason == "Account", "the account is made ready again");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out() {
    let rig = Rig::new();
    let after_20 = CloudError::Throttled { message: "slow down".into(), after: Duration::from_secs(20) };
    rig.cloud.lock().create_faults.push_back(refused(after_20));
    rig.api.put(pod("web", "u1"));
    after(19).await;
    assert_eq!(rig.cloud.lock().creates.len(), 1);
    rig.running("web").await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ran_and_vanished_fails_its_pod_as_a_disruption() {
    let rig = Rig::new();
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.cloud.lose("u1", true);
    eventually("failed", || rig.phase("web") == "Failed").await;
    let stored = rig.api.pod("shop", "web").unwrap();
    assert_eq!(condition(&stored, "DisruptionTarget").unwrap()["status"], "True");
    assert_eq!(stored["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "InstanceLost");
    after(60).await;
    assert_eq!(rig.cloud.lock().creates.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_vanished_before_it_ran_is_made_again() {
    let rig = Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_secs(5), Duration::from_secs(1)));
    rig.api.put(pod("web", "u1"));
    eventually("created", || rig.instances() == 1).await;
    after(1).await;
    rig.cloud.lose("u1", true);
    rig.running("web").await;
    assert_eq!(rig.cloud.lock().history, ["+u1", "-u1", "+u1"]);
}

async fn forty_running() -> Rig {
    let rig = Rig::new();
    for n in 0..40 {
        rig.api.put(pod(&format!("p{n}"), &format!("u{n}")));
    }
    for n in 0..40 {
        rig.running(&format!("p{n}")).await;
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_never_reads_as_all_dead() {
    let rig = forty_running().await;
    rig.cloud.lock().blind = true;
    rig.cloud.relist();
    after(1800).await;
    assert!((0..40).all(|n| rig.phase(&format!("p{n}")) == "Running"));
    assert_eq!(rig.cloud.lock().creates.len(), 40, "and none is made a second time");
    rig.cloud.lock().blind = false;
    after(300).await;
    rig.delete("p0", 1).await;
    rig.gone("p0").await;
}

/// The open ECI provider swallows list errors into a partial list: healthy pods are declared NotFound and Failed.
#[tokio::test(start_paused = true)]
async fn a_failing_list_says_nothing_about_pods() {
    let rig = forty_running().await;
    rig.cloud.lose("u3", false);
    rig.cloud.lock().list_faults.extend((0..5).map(|_| CloudError::Retryable("500".into())));
    rig.cloud.relist();
    eventually("one lost", || rig.phase("p3") == "Failed").await;
    assert_eq!((0..40).filter(|n| rig.phase(&format!("p{n}")) == "Running").count(), 39);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_misses_one_is_confirmed_by_a_second() {
    let rig = forty_running().await;
    // Hidden from the first listing only.
    rig.cloud.lock().blind = true;
    rig.cloud.relist();
    rig.cloud.lock().blind = false;
    after(120).await;
    assert!((0..40).all(|n| rig.phase(&format!("p{n}")) == "Running"));
}

/// An API server restored from an old backup knows none of the pods: their instances live on until somebody decides.
#[tokio::test(start_paused = true)]
async fn an_api_server_that_lost_its_pods_does_not_end_their_instances() {
    let rig = forty_running().await;
    rig.api.fault(Fault::refused().on("WATCH", "/pods").times(1));
    rig.api.close_watches();
    for n in 0..40 {
        rig.api.remove("v1", "pods", "shop", &format!("p{n}"));
    }
    rig.api.expire();
    after(1800).await;
    assert_eq!(rig.instances(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_status_write_that_fails_is_repeated() {
    let rig = Rig::new();
    rig.api.fault(Fault::status(500).on("PATCH", "/status").times(2));
    rig.api.fault(Fault::lost_answer().on("PATCH", "/status").times(1));
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_never_finishes_is_asked_for_again() {
    let rig =
        Rig::with(FakeApi::new(), FakeCloud::slow(Duration::from_millis(50), Duration::from_secs(100_000)));
    rig.api.put(pod("web", "u1"));
    rig.running("web").await;
    rig.delete("web", 5).await;
    after(60).await;
    assert!(rig.api.pod("shop", "web").is_some());
    // The cloud forgot the deletion.
    rig.cloud.lock().instances.get_mut("u1").unwrap().deleting = false;
    eventually("asked again", || rig.cloud.lock().deletes.len() >= 2).await;
    rig.cloud.lose("u1", false);
    rig.gone("web").await;
}
