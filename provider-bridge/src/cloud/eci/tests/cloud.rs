//! As much of ECI as these tests need: groups by id with their tags and tokens, and faults put before ordinary answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policies::keys::tag;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(in crate::cloud) enum Fault {
    /// The ordinary effect happens, and the connection breaks without an answer.
    Lost,
    /// Refused with this status and code.
    Code(u16, &'static str),
    /// Half of the ordinary answer.
    Half,
}

#[derive(Clone, Debug)]
pub(in crate::cloud) struct Group {
    pub(in crate::cloud) id: String,
    status: String,
    /// `PodStatus`.
    told: Value,
    parameters: BTreeMap<String, String>,
}

impl Group {
    pub(in crate::cloud) fn is_of(&self, uid: &str) -> bool {
        tags(&self.parameters).values().any(|value| value == uid)
    }
}

/// One call.
struct Seen {
    action: String,
    address: String,
    kind: &'static str,
    parameters: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    groups: Vec<Group>,
    tokens: HashMap<String, String>,
    faults: HashMap<String, VecDeque<Option<Fault>>>,
    seen: Vec<Seen>,
    hidden: bool,
    /// Deleted groups stay until [`Cloud::finish`].
    slow: bool,
    page: usize,
    serial: usize,
    log: String,
    /// Where the WebSockets of commands are.
    sessions: String,
    /// vSwitches without room.
    sold_out: BTreeSet<String>,
    /// The most groups at once, by the UID of the pod.
    most: BTreeMap<String, usize>,
}

pub(in crate::cloud) struct Cloud {
    pub(in crate::cloud) endpoint: String,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

impl Cloud {
    pub(in crate::cloud) async fn start() -> Self {
        // The client wants one, though nothing here is encrypted.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { page: 200, ..State::default() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let socket = TokioIo::new(socket);
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(socket, service).await;
                });
            }
        });
        Self { endpoint, state, _task: AbortOnDropHandle::new(task) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(in crate::cloud) fn fault(&self, action: &str, fault: Fault) {
        self.fault_after(action, 0, fault);
    }

    /// After so many ordinary answers.
    pub(in crate::cloud) fn fault_after(&self, action: &str, ordinary: usize, fault: Fault) {
        let mut state = self.state();
        let queue = state.faults.entry(action.to_owned()).or_default();
        queue.extend(std::iter::repeat_n(None, ordinary));
        queue.push_back(Some(fault));
    }

    /// Whether groups are left out of every description.
    pub(in crate::cloud) fn hide(&self, hidden: bool) {
        self.state().hidden = hidden;
    }

    pub(in crate::cloud) fn page(&self, size: usize) {
        self.state().page = size;
    }

    pub(in crate::cloud) fn log(&self, lines: &[&str]) {
        self.state().log = lines.iter().map(|line| format!("{line}\n")).collect();
    }

    pub(in crate::cloud) fn set(&self, id: &str, status: &str) {
        let mut state = self.state();
        state.groups.iter_mut().find(|group| group.id == id).unwrap().status = status.to_owned();
    }

    /// What is said of the containers of a group.
    pub(in crate::cloud) fn tell(&self, id: &str, told: Value) {
        let mut state = self.state();
        state.groups.iter_mut().find(|group| group.id == id).unwrap().told = told;
    }

    /// Commands with input run behind WebSockets at this address, and get their words in the query.
    pub(in crate::cloud) fn sessions_at(&self, address: String) {
        self.state().sessions = address;
    }

    /// There is no room in this vSwitch from now on.
    pub(in crate::cloud) fn sell_out(&self, switch: &str) {
        self.state().sold_out.insert(switch.to_owned());
    }

    /// The vSwitch of a group.
    pub(in crate::cloud) fn switch_of(&self, id: &str) -> String {
        let state = self.state();
        state.groups.iter().find(|group| group.id == id).unwrap().parameters["VSwitchId"].clone()
    }

    /// What is said of the disks of a group.
    pub(in crate::cloud) fn disk_options(&self, id: &str) -> Vec<Value> {
        let state = self.state();
        let parameters = &state.groups.iter().find(|group| group.id == id).unwrap().parameters;
        let options = parameters.iter().filter(|(name, _)| name.ends_with(".FlexVolume.Options"));
        options.map(|(_, text)| serde_json::from_str(text).unwrap()).collect()
    }

    /// The most groups of a pod that were there at the same time.
    pub(in crate::cloud) fn most_at_once(&self, uid: &str) -> usize {
        self.state().most.get(uid).copied().unwrap_or_default()
    }

    /// From now on deletions take until [`Self::finish`].
    pub(in crate::cloud) fn slow(&self) {
        self.state().slow = true;
    }

    pub(in crate::cloud) fn finish(&self) {
        self.state().groups.retain(|group| group.status != "Terminating");
    }

    /// A group that is not ours, in every list all the same.
    pub(in crate::cloud) fn stranger(&self) {
        let (id, status, told) = ("eci-other".into(), "Running".into(), nothing_told());
        self.state().groups.push(Group { id, status, told, parameters: BTreeMap::new() });
    }

    pub(in crate::cloud) fn groups(&self) -> Vec<Group> {
        self.state().groups.clone()
    }

    pub(in crate::cloud) fn count(&self, action: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.action == action).count()
    }

    /// The values of a parameter in the calls of an action, in their order.
    pub(in crate::cloud) fn values(&self, action: &str, parameter: &str) -> Vec<String> {
        let state = self.state();
        let calls = state.seen.iter().filter(|seen| seen.action == action);
        calls.filter_map(|seen| seen.parameters.get(parameter).cloned()).collect()
    }

    pub(in crate::cloud) fn switches(&self) -> Vec<String> {
        self.values("CreateContainerGroup", "VSwitchId")
    }

    pub(in crate::cloud) fn addresses(&self) -> Vec<String> {
        self.state().seen.iter().map(|seen| seen.address.clone()).collect()
    }

    /// How many calls were signed in which way.
    pub(in crate::cloud) fn kinds(&self) -> BTreeMap<String, usize> {
        self.state().seen.iter().fold(BTreeMap::new(), |mut kinds, seen| {
            *kinds.entry(seen.kind.to_owned()).or_default() += 1;
            kinds
        })
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap_or_else(|_: hyper::Error| panic!("no body")).to_bytes();
    let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
    let query = head.uri.query().unwrap_or_default();
    let parameters: BTreeMap<String, String> =
        pairs(query.as_bytes()).into_iter().chain(pairs(&body)).collect();
    let header = head.headers.get("x-acs-action").and_then(|value| value.to_str().ok());
    let kind = if header.is_some() { "acs3" } else { "rpc" };
    let action = header.map(str::to_owned).or_else(|| parameters.get("Action").cloned()).unwrap_or_default();
    let mut state = state.lock().unwrap();
    let address = head.uri.to_string();
    let fault = state.faults.get_mut(&action).and_then(VecDeque::pop_front).flatten();
    let fault = fault.or_else(|| state.no_room(&action, &parameters));
    let ordinary = match fault {
        Some(Fault::Code(..)) => json!({}),
        _ => state.carry_out(&action, &parameters),
    };
    state.seen.push(Seen { action, address, kind, parameters });
    let reply = |status: u16, body: String| {
        Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Full::new(Bytes::from(body)))
    };
    let text = ordinary.to_string();
    let response = match fault {
        None => reply(200, text),
        Some(Fault::Code(status, code)) => {
            reply(status, json!({"RequestId": "R", "Code": code, "Message": "refused"}).to_string())
        }
        Some(Fault::Half) => reply(200, text[..text.len() / 2].to_owned()),
        Some(Fault::Lost) => return Err(std::io::ErrorKind::BrokenPipe.into()),
    };
    Ok(response.unwrap_or_else(|error: http::Error| panic!("{error}")))
}

impl State {
    /// A create at a place without room is refused, unless its token has been answered.
    fn no_room(&self, action: &str, parameters: &BTreeMap<String, String>) -> Option<Fault> {
        let is = |name: &str, known: &dyn Fn(&String) -> bool| parameters.get(name).is_some_and(known);
        let refused = action == "CreateContainerGroup"
            && is("VSwitchId", &|switch| self.sold_out.contains(switch))
            && !is("ClientToken", &|token| self.tokens.contains_key(token));
        refused.then_some(Fault::Code(403, "OperationDenied.NoStock"))
    }

    fn count_all(&mut self) {
        let mut now: BTreeMap<String, usize> = BTreeMap::new();
        for uid in self.groups.iter().filter_map(|group| tags(&group.parameters).remove(tag::POD_UID)) {
            *now.entry(uid).or_default() += 1;
        }
        for (uid, count) in now {
            let most = self.most.entry(uid).or_default();
            *most = count.max(*most);
        }
    }

    fn carry_out(&mut self, action: &str, parameters: &BTreeMap<String, String>) -> Value {
        let get = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        match action {
            "DescribeRegions" => {
                json!({"Regions": [{"RegionId": "us-west-1"}, {"RegionId": "cn-hangzhou"}]})
            }
            "CreateContainerGroup" => {
                let token = get("ClientToken");
                if let Some(id) = self.tokens.get(&token) {
                    return json!({"ContainerGroupId": id});
                }
                self.serial += 1;
                let id = format!("eci-{}", self.serial);
                self.tokens.insert(token, id.clone());
                let (status, told, parameters) = ("Pending".into(), nothing_told(), parameters.clone());
                self.groups.push(Group { id: id.clone(), status, told, parameters });
                self.count_all();
                json!({"RequestId": "R", "ContainerGroupId": id})
            }
            "DeleteContainerGroup" => {
                let (id, slow) = (get("ContainerGroupId"), self.slow);
                self.groups.retain(|group| slow || group.id != id);
                self.groups
                    .iter_mut()
                    .filter(|group| group.id == id)
                    .for_each(|g| g.status = "Terminating".into());
                json!({"RequestId": "R"})
            }
            "DescribeContainerGroups" => {
                let (found, next) = self.found(parameters);
                let all: Vec<Value> = found.iter().map(described).collect();
                json!({"ContainerGroups": all, "NextToken": next})
            }
            "DescribeContainerGroupStatus" => {
                let (found, next) = self.found(parameters);
                let all: Vec<Value> = found
                    .iter()
                    .map(|group| json!({"ContainerGroupId": group.id, "Status": group.status, "PodStatus": group.told}))
                    .collect();
                json!({"Data": all, "NextToken": next})
            }
            "DescribeMultiContainerGroupMetric" => {
                let ids: Vec<String> = serde_json::from_str(&get("ContainerGroupIds")).unwrap();
                assert!(ids.len() <= 20, "{ids:?}");
                json!({"MonitorDatas": ids.iter().map(|id| metrics(id)).collect::<Vec<_>>()})
            }
            "DescribeContainerLog" => json!({"ContainerName": get("ContainerName"), "Content": self.log}),
            "ExecContainerCommand" => {
                let words: Vec<String> = serde_json::from_str(&get("Command")).unwrap();
                if get("Sync") != "true" {
                    let pairs = words.iter().map(|word| ("command", word));
                    let query =
                        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                    return json!({"WebSocketUri": format!("{}?{query}", self.sessions)});
                }
                let (said, mark) = (words[5..].join(" "), &words[4]);
                json!({"SyncResponse": format!("{said}\n\n{mark}:42;err\n")})
            }
            other => panic!("{other:?}"),
        }
    }

    fn found(&self, parameters: &BTreeMap<String, String>) -> (Vec<Group>, Option<String>) {
        let ids: Option<Vec<String>> =
            parameters.get("ContainerGroupIds").map(|text| serde_json::from_str(text).unwrap());
        let wanted = tags(parameters);
        let good = |group: &&Group| {
            let own = tags(&group.parameters);
            let tagged =
                group.id == "eci-other" || wanted.iter().all(|(key, value)| own.get(key) == Some(value));
            tagged && ids.as_ref().is_none_or(|ids| ids.contains(&group.id))
        };
        let all: Vec<Group> = self.groups.iter().filter(good).filter(|_| !self.hidden).cloned().collect();
        let from: usize = parameters.get("NextToken").and_then(|token| token.parse().ok()).unwrap_or(0);
        let limit = parameters.get("Limit").and_then(|limit| limit.parse().ok()).unwrap_or(20).min(self.page);
        let next = (from + limit < all.len()).then(|| (from + limit).to_string());
        (all.into_iter().skip(from).take(limit).collect(), next)
    }
}

fn nothing_told() -> Value {
    json!({"Phase": "x"})
}

/// Two points in the wrong order; of `eci-2` only one without containers.
fn metrics(id: &str) -> Value {
    let containers = |nano: u64| {
        json!([{"Name": "app", "CPU": {"UsageNanoCores": nano, "UsageCoreNanoSeconds": nano * 100, "Load": 0, "Limit": 2000},
            "Memory": {"AvailableBytes": 5, "UsageBytes": 4, "Cache": 1, "WorkingSet": 3, "Rss": 2}}])
    };
    let point = |at: &str, nano: u64| {
        json!({"Timestamp": at, "Containers": containers(nano),
            "Network": {"Interfaces": [{"Name": "eth0", "RxBytes": 7, "TxBytes": 8, "RxErrors": null}]}})
    };
    let records = match id {
        "eci-2" => json!([{"Timestamp": "2026-01-02T03:04:00Z", "Containers": null, "Network": null}]),
        _ => json!([point("2026-01-02T03:04:15Z", 20), point("2026-01-02T03:04:00Z", 10)]),
    };
    json!({"ContainerGroupId": id, "Records": records})
}

fn tags(parameters: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let key = |n: usize| {
        Some((parameters.get(&format!("Tag.{n}.Key"))?, parameters.get(&format!("Tag.{n}.Value"))?))
    };
    (1..).map_while(key).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn described(group: &Group) -> Value {
    let tags: Vec<Value> =
        tags(&group.parameters).iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let number = |name: &str| group.parameters.get(name).and_then(|text| text.parse::<f64>().ok());
    json!({"ContainerGroupId": group.id, "Status": group.status, "Tags": tags, "Cpu": number("Cpu"),
        "Memory": number("Memory"), "VSwitchId": group.parameters.get("VSwitchId"),
        "CreationTime": format!("2026-01-02T03:04:{:02}Z", group.id.len()), "RestartPolicy": "Always",
        "InitContainers": null})
}
