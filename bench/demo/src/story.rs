//! The story itself: each step acts, waits until the cluster shows it, and prints what a person would see.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Stack, Workload, eventually_within};
use serde_json::Value;

use crate::screen::Screen;

const NAMESPACE: &str = "shop";
const PEAK: usize = 20;
const CALM: usize = 12;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Story<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) stack: &'a Stack,
    pub(crate) screen: &'a Screen,
}

/// What the summary says.
struct Peak {
    local: usize,
    burst: usize,
    why: String,
    log_line: String,
    exec_result: String,
}

impl Story<'_> {
    pub(crate) async fn tell(&self) -> Result<()> {
        self.deploy().await?;
        let peak = self.peak().await?;
        self.capacity().await?;
        let cloud_first = self.scale_in(peak.local).await?;
        let bill = self.clean_up().await?;
        self.screen.step("Summary");
        let fact = |name, value: &str| self.screen.fact(name, value);
        fact("pods at peak", &format!("{} local, {} burst", peak.local, peak.burst));
        fact("why", &peak.why);
        fact("log line", &peak.log_line);
        fact("exec result", &peak.exec_result);
        fact("scale-in", &cloud_first);
        fact("cloud", &bill);
        Ok(())
    }

    async fn deploy(&self) -> Result<()> {
        self.screen.step("Deploy 4 pods with one label on the Deployment: burst-to-cci: auto");
        self.lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
        eventually_within(PATIENCE, "the namespace is ready", || async {
            self.lab.kubectl(&["get", "serviceaccount", "default", "-n", NAMESPACE]).await.map(drop)
        })
        .await?;
        let web = Workload::deployment(NAMESPACE, "web", 4).label("burst-to-cci", "auto");
        self.screen.command("kubectl apply -f web.yaml");
        self.screen.output(&self.lab.apply(&web.text()).await?);
        let (local, burst) = self.running(4).await?;
        self.show_pods().await?;
        ensure!(burst == 0, "with room on every real node, {burst} of 4 pods went to the cloud");
        self.screen.fact("so far", &format!("{local} local, {burst} burst: there is room at home"));
        Ok(())
    }

    async fn peak(&self) -> Result<Peak> {
        self.screen.step(&format!("Scale to {PEAK}: the real nodes have 12 cores, the rest bursts"));
        self.screen.command(&format!("kubectl scale deployment/web --replicas={PEAK}"));
        self.lab
            .kubectl(&["scale", "deployment/web", "-n", NAMESPACE, &format!("--replicas={PEAK}")])
            .await?;
        let (local, burst) = self.running(PEAK).await?;
        self.show_pods().await?;
        self.screen.fact("now", &format!("{local} local, {burst} burst"));
        let pod = self.burst_pod().await?;
        self.screen.step("Ask the burst pod: unmodified kubectl, through the API server to the virtual node");
        let log_line = self.log_line(&pod).await?;
        let exec_result = self.exec(&pod).await?;
        self.screen.step("Why is it there?");
        let why = self.why(&pod).await?;
        Ok(Peak { local, burst, why, log_line, exec_result })
    }

    async fn log_line(&self, pod: &str) -> Result<String> {
        self.screen.command(&format!("kubectl logs {pod} --tail=1"));
        let line = eventually_within(PATIENCE, "the pod printed a line", || async {
            let line = self.lab.kubectl(&["logs", pod, "-n", NAMESPACE, "--tail=1"]).await?;
            ensure!(line.contains("line"), "log: {line:?}");
            Ok(line)
        })
        .await?;
        self.screen.output(&line);
        Ok(line.trim().to_owned())
    }

    async fn exec(&self, pod: &str) -> Result<String> {
        let script = "echo hello from $(hostname) at $(ip -4 -o addr show eth0 | awk '{print $4}')";
        self.screen.command(&format!("kubectl exec {pod} -- sh -c '{script}'"));
        let result = self.lab.kubectl(&["exec", pod, "-n", NAMESPACE, "--", "sh", "-c", script]).await?;
        self.screen.output(&result);
        Ok(result.trim().to_owned())
    }

    async fn why(&self, pod: &str) -> Result<String> {
        let path = format!("/api/decisions?pod={NAMESPACE}/{pod}");
        self.screen.command(&format!("curl http://{}{path}", Stack::page()));
        let sentence = eventually_within(PATIENCE, "the decision is on record", || async {
            let answer = self.stack.page_get(self.lab, &path).await?;
            find_sentence(&answer).with_context(|| format!("no sentence in {answer}"))
        })
        .await?;
        self.screen.output(&sentence);
        Ok(sentence)
    }

    async fn capacity(&self) -> Result<()> {
        self.screen.step("The capacity page, as JSON: real and virtual are never added up");
        self.screen.command(&format!("curl http://{}/api/capacity", Stack::page()));
        let answer = self.stack.page_get(self.lab, "/api/capacity").await?;
        for class in ["real", "virtual"] {
            self.screen.fact(class, &answer["classes"][class].to_string());
        }
        Ok(())
    }

    async fn scale_in(&self, local_before: usize) -> Result<String> {
        self.screen.step(&format!("Scale in to {CALM}: the cloud pods go first"));
        self.screen.command(&format!("kubectl scale deployment/web --replicas={CALM}"));
        self.lab
            .kubectl(&["scale", "deployment/web", "-n", NAMESPACE, &format!("--replicas={CALM}")])
            .await?;
        let (local, burst) = self.running(CALM).await?;
        self.show_pods().await?;
        self.screen.fact("now", &format!("{local} local, {burst} burst"));
        ensure!(
            local == local_before,
            "scale-in took local pods: {local_before} before, {local} now, {burst} in the cloud"
        );
        Ok(format!("{} pods removed, all of them from the cloud", PEAK - CALM))
    }

    async fn clean_up(&self) -> Result<String> {
        self.screen.step("Delete the Deployment: the bill must stop");
        self.screen.command("kubectl delete deployment web");
        self.lab.kubectl(&["delete", "deployment", "web", "-n", NAMESPACE, "--wait=true"]).await?;
        let meter =
            eventually_within(PATIENCE, "the cloud holds no instance and the bill is closed", || async {
                let meter = self.stack.cloud_get(self.lab, "meter").await?;
                ensure!(meter["open"] == 0, "still billed: {meter}");
                ensure!(meter["closed"].as_u64().is_some_and(|n| n > 0), "nothing was ever billed: {meter}");
                Ok(meter)
            })
            .await?;
        let bill = format!(
            "0 instances, bill closed: {} instances for {} s in all",
            meter["closed"], meter["seconds"]
        );
        self.screen.fact("cloud", &bill);
        Ok(bill)
    }

    /// Waits until exactly `count` pods are Running and none else is left; returns (local, burst).
    async fn running(&self, count: usize) -> Result<(usize, usize)> {
        eventually_within(PATIENCE, &format!("{count} pods Running"), || async {
            let pods = self.pods().await?;
            let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
            ensure!(pods.len() == count && running == count, "{running} of {} Running", pods.len());
            let burst = pods.iter().filter(|pod| is_burst(pod)).count();
            Ok((count - burst, burst))
        })
        .await
    }

    async fn burst_pod(&self) -> Result<String> {
        let pods = self.pods().await?;
        let pod = pods.iter().find(|pod| is_burst(pod)).context("no pod went to the cloud")?;
        Ok(pod["metadata"]["name"].as_str().context("a pod without name")?.to_owned())
    }

    async fn pods(&self) -> Result<Vec<Value>> {
        let text = self.lab.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "json"]).await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn show_pods(&self) -> Result<()> {
        self.screen.command("kubectl get pods -o wide");
        let columns = "NAME:.metadata.name,STATUS:.status.phase,IP:.status.podIP,NODE:.spec.nodeName";
        let columns = format!("custom-columns={columns}");
        self.screen.output(&self.lab.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", &columns]).await?);
        Ok(())
    }
}

fn is_burst(pod: &Value) -> bool {
    pod["spec"]["nodeName"].as_str().is_some_and(|node| node.starts_with("burst-"))
}

/// The newest decision's sentence; decisions come newest first, as a list or under `decisions`.
fn find_sentence(answer: &Value) -> Option<String> {
    let decisions = answer.as_array().or_else(|| answer["decisions"].as_array())?;
    decisions.first()?["sentence"].as_str().map(ToOwned::to_owned)
}
