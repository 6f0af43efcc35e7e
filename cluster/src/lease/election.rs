//! One leader among replicas, by a Lease.
//!
//! Time is judged only by our own clock, from when a change of the Lease was seen (as client-go does), so clocks of
//! different machines need not agree. The holder stops leading 5 s before anyone may take over.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{micro_time, path};
use crate::read::get;

/// After this long without a change seen, others may take the Lease.
const DURATION: Duration = Duration::from_secs(15);

/// After this long without a renewal that arrived, the holder stops leading.
const RENEW_WITHIN: Duration = Duration::from_secs(10);

/// Time between tries.
const RETRY: Duration = Duration::from_secs(2);

/// Longest time of one try.
const TRY: Duration = Duration::from_secs(5);

/// Who may act as leader.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claim {
    /// We are the leader now.
    pub leading: bool,
    /// Identity of the leader, as far as known.
    pub holder: Option<String>,
}

/// One election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Our identity, unique per process.
    pub identity: String,
}

impl Election {
    /// Takes part until cancelled, then gives the Lease up. The claim turns false before another may take the Lease,
    /// even when the API server cannot be reached.
    pub async fn run(self, client: Client, claim: watch::Sender<Claim>, cancel: CancellationToken) {
        let mut state = State { election: self, client, claim, seen: None, lead_until: None };
        cancel.run_until_cancelled(state.take_part()).await;
        state.give_up().await;
    }

    fn path(&self) -> String {
        path(&self.namespace, &self.name)
    }
}

/// What was last seen of the Lease.
#[derive(Clone, Debug)]
struct Seen {
    version: String,
    since: Instant,
}

struct State {
    election: Election,
    client: Client,
    claim: watch::Sender<Claim>,
    seen: Option<Seen>,
    lead_until: Option<Instant>,
}

impl State {
    async fn take_part(&mut self) {
        loop {
            let started = Instant::now();
            let limit = self.lead_until.map_or(started + TRY, |until| until.min(started + TRY));
            let result = tokio::time::timeout_at(limit, self.attempt()).await;
            match result.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(holder) => self.holds(holder, started),
                Err(error) => tracing::warn!(lease = self.election.name, error, "leader election failed"),
            }
            self.expire(Instant::now());
            let next = self.lead_until.map_or(started + RETRY, |until| until.min(started + RETRY));
            tokio::time::sleep_until(next).await;
            self.expire(Instant::now());
        }
    }

    /// Stops leading when renewals no longer arrive.
    fn expire(&mut self, now: Instant) {
        if self.lead_until.is_some_and(|until| until <= now) {
            self.lead_until = None;
            tracing::warn!(lease = self.election.name, "no longer leader: the Lease could not be renewed");
            self.claim.send_replace(Claim { leading: false, holder: None });
        }
    }

    fn holds(&mut self, holder: String, started: Instant) {
        let leading = holder == self.election.identity;
        self.lead_until = leading.then_some(started + RENEW_WITHIN);
        let claim = Claim { leading, holder: Some(holder).filter(|holder| !holder.is_empty()) };
        self.claim.send_if_modified(|old| {
            let changed = *old != claim;
            if changed {
                tracing::info!(lease = self.election.name, leading, holder = claim.holder, "leader");
                *old = claim;
            }
            changed
        });
    }

    /// One look at the Lease, and one write if it is ours or free; returns the holder.
    async fn attempt(&mut self) -> Result<String, String> {
        let found = get::<Value>(&self.client, &self.election.path(), "application/json").await?;
        let Some(lease) = found else {
            let lease = self.lease(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.election.name, "namespace": self.election.namespace},
            }));
            let collection = path(&self.election.namespace, "").trim_end_matches('/').to_owned();
            return self.write(Method::POST, &collection, &lease).await;
        };
        let holder = text(&lease, "/spec/holderIdentity").to_owned();
        let ours = holder == self.election.identity;
        if ours || holder.is_empty() || self.unchanged_for(&lease, Instant::now()) >= duration(&lease) {
            let lease = self.lease(lease);
            return self.write(Method::PUT, &self.election.path(), &lease).await;
        }
        Ok(holder)
    }

    /// How long the Lease has been as it is, by our own clock.
    fn unchanged_for(&mut self, lease: &Value, now: Instant) -> Duration {
        let version = text(lease, "/metadata/resourceVersion");
        match &self.seen {
            Some(seen) if seen.version == version => now.saturating_duration_since(seen.since),
            _ => {
                self.seen = Some(Seen { version: version.to_owned(), since: now });
                Duration::ZERO
            }
        }
    }

    /// The Lease as ours, everything else in it kept.
    fn lease(&self, mut lease: Value) -> Value {
        let now = micro_time(Timestamp::now());
        let mut spec = json!({
            "holderIdentity": self.election.identity, "leaseDurationSeconds": DURATION.as_secs(), "renewTime": now,
        });
        if text(&lease, "/spec/holderIdentity") != self.election.identity {
            let transitions = lease.pointer("/spec/leaseTransitions").and_then(Value::as_i64);
            let taken = json!({"acquireTime": now, "leaseTransitions": transitions.map_or(0, |n| n + 1)});
            json_patch::merge(&mut spec, &taken);
        }
        json_patch::merge(&mut lease, &json!({"spec": spec}));
        lease
    }

    /// Writes with the resource version that was read, so that only one of several can win; returns the holder.
    async fn write(&self, method: Method, path: &str, lease: &Value) -> Result<String, String> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(Body::from(lease.to_string().into_bytes())).map_err(|e| e.to_string())?;
        let response = self.client.send(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        drop(response.into_body().collect().await);
        match status.as_u16() {
            200..=299 => Ok(text(lease, "/spec/holderIdentity").to_owned()),
            // Someone else was faster; the next look says who.
            409 => Ok(String::new()),
            code => Err(format!("the Lease could not be written: {code}")),
        }
    }

    /// Stops leading and lets another take over at once.
    async fn give_up(mut self) {
        let led = self.lead_until.take().is_some();
        self.claim.send_replace(Claim::default());
        if !led {
            return;
        }
        let release = async {
            let lease =
                get::<Value>(&self.client, &self.election.path(), "application/json").await.ok()??;
            if text(&lease, "/spec/holderIdentity") != self.election.identity {
                return None;
            }
            let mut lease = lease;
            json_patch::merge(
                &mut lease,
                &json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}),
            );
            self.write(Method::PUT, &self.election.path(), &lease).await.ok()
        };
        if tokio::time::timeout(TRY, release).await.ok().flatten().is_none() {
            tracing::debug!(lease = self.election.name, "the Lease was not given up; it runs out by itself");
        }
    }
}

fn duration(lease: &Value) -> Duration {
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
    seconds.map_or(DURATION, Duration::from_secs)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeApi, Fault};

    struct Replica {
        claim: watch::Receiver<Claim>,
        cancel: CancellationToken,
    }

    impl Replica {
        fn start(api: &FakeApi, identity: &str) -> Self {
            let election = Election {
                namespace: "burst".to_owned(),
                name: "ledger".to_owned(),
                identity: identity.to_owned(),
            };
            let (sender, claim) = watch::channel(Claim::default());
            let cancel = CancellationToken::new();
            tokio::spawn(election.run(api.client(), sender, cancel.clone()));
            Self { claim, cancel }
        }

        fn leading(&self) -> bool {
            self.claim.borrow().leading
        }

        async fn until(&mut self, leading: bool) {
            self.claim.wait_for(|claim| claim.leading == leading).await.expect("runs");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_hands_over_at_once_when_it_stops() {
        let api = FakeApi::new();
        let mut a = Replica::start(&api, "a");
        a.until(true).await;
        let mut b = Replica::start(&api, "b");
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(a.leading() && !b.leading());
        assert_eq!(b.claim.borrow().holder.as_deref(), Some("a"));
        let stopped = Instant::now();
        a.cancel.cancel();
        b.until(true).await;
        assert!(stopped.elapsed() <= Duration::from_secs(4), "{:?}", stopped.elapsed());
        let lease = api.get("coordination.k8s.io/v1", "leases", "burst", "ledger").expect("exists");
        assert_eq!(lease["spec"]["leaseTransitions"], json!(1), "a, free, b: as client-go counts");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_cut_off_stops_before_another_starts() {
        let api = FakeApi::new();
        let mut a = Replica::start(&api, "a");
        a.until(true).await;
        api.fault(Fault::hang());
        let cut = Instant::now();
        a.until(false).await;
        assert!(cut.elapsed() <= RENEW_WITHIN, "{:?}", cut.elapsed());
        a.cancel.cancel();
        api.clear_faults();
        let mut b = Replica::start(&api, "b");
        let started = Instant::now();
        b.until(true).await;
        assert!(started.elapsed() >= DURATION, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn short_failures_do_not_end_a_term() {
        let api = FakeApi::new();
        let mut a = Replica::start(&api, "a");
        a.until(true).await;
        a.claim.mark_unchanged();
        api.fault(Fault::status(503).on("PUT", "/leases/").times(2));
        api.fault(Fault::lost_answer().on("PUT", "/leases/").times(1));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(a.leading() && !a.claim.has_changed().expect("runs"));
    }
}
