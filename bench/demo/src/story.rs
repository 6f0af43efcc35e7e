//! The story itself: each step acts, waits until the cluster shows it, and prints what a person would see.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Stack, Workload, eventually_within};
use serde_json::Value;

use crate::{
    choice::Choice,
    clouds::{Cloud, Holding},
    screen::Screen,
};

const NAMESPACE: &str = "shop";
const PEAK: usize = 20;
const CALM: usize = 12;
const PATIENCE: Duration = Duration::from_secs(60);
/// How burst says that a cloud's API has no logs or commands.
const NO_WAY_IN: [&str; 3] = [
    "the API of Cube has no",
    "Cube takes no commands through its API",
    "is not offered by this virtual node",
];

pub(crate) struct Story<'a> {
    pub(crate) choice: Choice,
    pub(crate) lab: &'a Lab,
    pub(crate) stack: &'a Stack,
    pub(crate) other: Option<&'a Lab>,
    pub(crate) screen: &'a Screen,
}

/// What the summary says.
struct Peak {
    local: usize,
    placed: String,
    why: String,
    log_lines: Vec<String>,
    exec_results: Vec<String>,
}

impl Story<'_> {
    pub(crate) async fn tell(&self) -> Result<()> {
        self.deploy().await?;
        let peak = self.peak().await?;
        self.capacity().await?;
        let cloud_first = self.scale_in(peak.local).await?;
        let bills = self.clean_up().await?;
        self.screen.step("Summary");
        let fact = |name, value: &str| self.screen.fact(name, value);
        fact("pods at peak", &peak.placed);
        fact("why", &peak.why);
        peak.log_lines.iter().for_each(|line| fact("log line", line));
        peak.exec_results.iter().for_each(|result| fact("exec result", result));
        fact("scale-in", &cloud_first);
        bills.iter().for_each(|bill| fact("cloud", bill));
        Ok(())
    }

    async fn deploy(&self) -> Result<()> {
        self.screen.step(&format!("Deploy 4 pods with {}", self.choice.opening()));
        self.lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
        eventually_within(PATIENCE, "the namespace is ready", || async {
            self.lab.kubectl(&["get", "serviceaccount", "default", "-n", NAMESPACE]).await.map(drop)
        })
        .await?;
        let mut web = Workload::deployment(NAMESPACE, "web", 4).spec(|spec| self.choice.pod(spec));
        match self.choice.policy(NAMESPACE) {
            Some(policy) => self.policy(&policy).await?,
            None => web = web.label(self.choice.label(), "auto"),
        }
        self.screen.command("kubectl apply -f web.yaml");
        self.screen.output(&self.lab.apply(&web.text()).await?);
        let (local, burst) = self.running(4).await?;
        self.show_pods().await?;
        ensure!(burst == 0, "with room on every real node, {burst} of 4 pods went to the cloud");
        self.screen.fact("so far", &format!("{local} local, {burst} burst: there is room at home"));
        Ok(())
    }

    /// Applies a policy object and waits until admission knows it.
    async fn policy(&self, policy: &Value) -> Result<()> {
        self.screen.command("kubectl apply -f policy.yaml");
        self.screen.output(&self.lab.apply(&policy.to_string()).await?);
        let probe = Workload::pod(NAMESPACE, "probe").text();
        let dry = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
        eventually_within(PATIENCE, "the policy governs new pods", || async {
            let pod: Value = serde_json::from_str(&self.lab.kubectl_stdin(&dry, &probe).await?)?;
            ensure!(pod["metadata"]["labels"][policies::keys::GOVERNED] == "true", "{pod}");
            Ok(())
        })
        .await
    }

    async fn peak(&self) -> Result<Peak> {
        self.screen.step(&format!("Scale to {PEAK}: the real nodes have 12 cores, the rest bursts"));
        self.screen.command(&format!("kubectl scale deployment/web --replicas={PEAK}"));
        self.lab
            .kubectl(&["scale", "deployment/web", "-n", NAMESPACE, &format!("--replicas={PEAK}")])
            .await?;
        let (local, burst) = self.running(PEAK).await?;
        self.show_pods().await?;
        let (pods, clouds) = (self.pods().await?, Cloud::of(self.choice));
        let shares: Vec<usize> =
            clouds.iter().map(|cloud| pods.iter().filter(|pod| cloud.has(pod)).count()).collect();
        let placed = self.placed(local, burst, &shares)?;
        self.screen.fact("now", &placed);
        self.compare(&shares).await?;
        self.screen.step("Ask the burst pod: unmodified kubectl, through the API server to the virtual node");
        let (mut log_lines, mut exec_results, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for cloud in clouds {
            let pod = pods.iter().find(|pod| cloud.has(pod)).context("no pod went to the cloud")?;
            let pod = pod["metadata"]["name"].as_str().context("a pod without name")?;
            log_lines.push(self.log_line(*cloud, pod).await?);
            exec_results.push(self.exec(*cloud, pod).await?);
            asked.push(pod);
        }
        self.screen.step("Why is it there?");
        let why = self.why(asked.first().context("a cloud")?).await?;
        Ok(Peak { local, placed, why, log_lines, exec_results })
    }

    /// Who got how many, in words.
    fn placed(&self, local: usize, burst: usize, shares: &[usize]) -> Result<String> {
        ensure!(shares.iter().sum::<usize>() == burst, "{burst} burst, and the clouds' are {shares:?}");
        let total = format!("{local} local, {burst} burst");
        if let [_] = shares {
            return Ok(total);
        }
        let most = crate::choice::CEILING;
        ensure!(
            matches!(shares, [first, second, _] if (*first, *second) == (most, most)),
            "tiers are {most}, {most} and the rest, and {shares:?} came of it"
        );
        let each = Cloud::of(self.choice).iter().zip(shares);
        let each: Vec<_> = each.map(|(cloud, share)| format!("{share} {}", cloud.name())).collect();
        Ok(format!("{total}: {}", each.join(", ")))
    }

    /// The clouds themselves say the same as the cluster.
    async fn compare(&self, shares: &[usize]) -> Result<()> {
        for (cloud, share) in Cloud::of(self.choice).iter().zip(shares) {
            eventually_within(PATIENCE, "cluster and cloud agree", || async {
                let Holding { open, .. } = cloud.holding(self.lab, self.stack, self.other).await?;
                ensure!(open == *share as u64, "{share} pods, {open} instances at {}", cloud.name());
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn log_line(&self, cloud: Cloud, pod: &str) -> Result<String> {
        self.screen.command(&format!("kubectl logs {pod} --tail=1"));
        let args = ["logs", pod, "-n", NAMESPACE, "--tail=1"];
        let line = eventually_within(PATIENCE, "the pod printed a line", || async {
            self.answer(cloud, &args, "line").await
        })
        .await?;
        self.screen.output(&line);
        Ok(line)
    }

    async fn exec(&self, cloud: Cloud, pod: &str) -> Result<String> {
        let script = match cloud {
            // kwok runs the command where it runs itself.
            Cloud::OtherCluster => "echo hello from the other cluster",
            _ => "echo hello from $(hostname) at $(ip -4 -o addr show eth0 | awk '{print $4}')",
        };
        self.screen.command(&format!("kubectl exec {pod} -- sh -c '{script}'"));
        let args = ["exec", pod, "-n", NAMESPACE, "--", "sh", "-c", script];
        let result = self.answer(cloud, &args, "hello from").await?;
        self.screen.output(&result);
        Ok(result)
    }

    /// What kubectl says, which has to hold `wanted`. Cube has no way in, so its sentence about that is an answer too.
    async fn answer(&self, cloud: Cloud, args: &[&str], wanted: &str) -> Result<String> {
        let output = self.lab.kubectl_output(args).await?;
        let stream = if output.status.success() { &output.stdout } else { &output.stderr };
        let said = String::from_utf8_lossy(stream).trim().to_owned();
        let good = if output.status.success() {
            said.contains(wanted)
        } else {
            cloud == Cloud::Cube && NO_WAY_IN.iter().any(|sentence| said.contains(sentence))
        };
        ensure!(good, "kubectl {}: {said}", args.join(" "));
        Ok(said)
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

    async fn clean_up(&self) -> Result<Vec<String>> {
        self.screen.step("Delete the Deployment: the bill must stop");
        self.screen.command("kubectl delete deployment web");
        self.lab.kubectl(&["delete", "deployment", "web", "-n", NAMESPACE, "--wait=true"]).await?;
        let (mut bills, clouds) = (Vec::new(), Cloud::of(self.choice));
        for cloud in clouds {
            let bill = eventually_within(PATIENCE, "the cloud holds no instance", || async {
                cloud.holding(self.lab, self.stack, self.other).await?.ended()
            })
            .await?;
            let bill = if clouds.len() > 1 { format!("{}: {bill}", cloud.name()) } else { bill };
            self.screen.fact("cloud", &bill);
            bills.push(bill);
        }
        Ok(bills)
    }

    /// Waits until exactly `count` pods are Running and none else is left; returns (local, burst).
    async fn running(&self, count: usize) -> Result<(usize, usize)> {
        eventually_within(PATIENCE, &format!("{count} pods Running"), || async {
            let pods = self.pods().await?;
            let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
            ensure!(pods.len() == count && running == count, "{running} of {} Running", pods.len());
            let burst = pods.iter().filter(|pod| Cloud::of(self.choice).iter().any(|c| c.has(pod))).count();
            Ok((count - burst, burst))
        })
        .await
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

/// The newest decision's sentence; decisions come newest first, as a list or under `decisions`.
fn find_sentence(answer: &Value) -> Option<String> {
    let decisions = answer.as_array().or_else(|| answer["decisions"].as_array())?;
    decisions.first()?["sentence"].as_str().map(ToOwned::to_owned)
}
