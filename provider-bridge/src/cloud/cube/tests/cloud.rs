//! As much of Cube as these tests need: pods by id, elastic addresses, and answers that are lost, late or refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What the cloud holds, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    pub(super) pods: Vec<(String, Value)>,
    pub(super) made: usize,
    pub(super) deleted: Vec<String>,
    /// So many creates are answered as if the gateway had given up; the flag says whether they took effect.
    pub(super) lose: Vec<bool>,
    /// Lists do not show these ids yet.
    pub(super) hidden: Vec<String>,
    /// Nor what is made meanwhile.
    pub(super) lag: bool,
    /// The most pods at once, by UID.
    pub(super) most: BTreeMap<String, usize>,
    /// The next list fails.
    pub(super) fail: bool,
    /// Addresses: id, name, pod.
    pub(super) addresses: Vec<(String, String, String)>,
    /// The answer to the next purchase of an address is lost.
    pub(super) lose_address: bool,
    /// The balance is too low to buy anything.
    pub(super) poor: bool,
    /// A disk was to be formatted, or something else was asked for that there is not.
    pub(super) odd: bool,
    /// RetCode and message of the next create, which makes nothing.
    pub(super) refuse: Option<(i64, &'static str)>,
}

impl Cloud {
    pub(super) fn add(&mut self, mut document: Value) -> String {
        self.made += 1;
        let id = format!("cube-{}", self.made);
        document["metadata"]["cubeId"] = json!(id);
        document["metadata"]["creationTimestamp"] = json!(format!("2026-01-02T03:04:{:02}Z", self.made));
        document["status"] = json!({"phase": "Running"});
        let uid = document["metadata"]["labels"]["burst.io/pod-uid"].clone();
        self.pods.push((id.clone(), document));
        if self.lag {
            self.hidden.push(id.clone());
        }
        let of = |(_, pod): &&(String, Value)| pod["metadata"]["labels"]["burst.io/pod-uid"] == uid;
        let now = self.pods.iter().filter(of).count();
        let most = self.most.entry(uid.as_str().unwrap_or_default().to_owned()).or_default();
        *most = now.max(*most);
        id
    }

    fn answer(&mut self, form: &BTreeMap<String, String>) -> Value {
        let get = |name: &str| form.get(name).cloned().unwrap_or_default();
        let encode = |pod: &Value| STANDARD.encode(serde_saphyr::to_string(pod).unwrap());
        match get("Action").as_str() {
            "CreateCubePod" if self.poor => json!({"RetCode": 520, "Message": "balance"}),
            "CreateCubePod" if self.refuse.is_some() => {
                let (code, message) = self.refuse.take().unwrap_or_default();
                json!({"RetCode": code, "Message": message})
            }
            "CreateCubePod" => {
                let lost = (!self.lose.is_empty()).then(|| self.lose.remove(0));
                let yaml = String::from_utf8(STANDARD.decode(get("Pod")).unwrap()).unwrap();
                let document: Value = serde_saphyr::from_str(&yaml).unwrap();
                let wanted = disks(&document);
                if let Some(taken) =
                    self.pods.iter().flat_map(|(_, pod)| disks(pod)).find(|disk| wanted.contains(disk))
                {
                    let id = &taken["id"];
                    let why = format!("Params [Pod] not available: udisk {id} is attached to another pod");
                    return json!({"RetCode": 230, "Message": why});
                }
                self.odd |= wanted.iter().any(|disk| disk["forceFormat"] != false);
                if lost != Some(false) {
                    let id = self.add(document);
                    if lost.is_none() {
                        return json!({"RetCode": 0, "CubeId": id});
                    }
                }
                json!({"RetCode": 110, "Message": "gateway timeout"})
            }
            "ListCubePod" if std::mem::take(&mut self.fail) => {
                json!({"RetCode": 150, "Message": "service unavailable"})
            }
            "ListCubePod" => {
                let seen: Vec<&(String, Value)> =
                    self.pods.iter().filter(|(id, _)| !self.hidden.contains(id)).collect();
                let offset: usize = get("Offset").parse().unwrap();
                let page: Vec<String> =
                    seen.iter().skip(offset).take(100).map(|(_, pod)| encode(pod)).collect();
                json!({"RetCode": 0, "TotalCount": seen.len(), "Pods": page})
            }
            "GetCubePod" => {
                let pod = self.pods.iter().find(|(id, _)| *id == get("CubeId"));
                json!({"RetCode": 0, "Pod": pod.map(|(_, pod)| encode(pod)).unwrap_or_default()})
            }
            "DeleteCubePod" => {
                let before = self.pods.len();
                self.pods.retain(|(id, _)| *id != get("CubeId"));
                if self.pods.len() == before {
                    return json!({"RetCode": 230, "Message": "Params [CubeId] not available"});
                }
                self.deleted.push(get("CubeId"));
                self.addresses.retain(|(_, _, pod)| *pod != get("CubeId") || get("ReleaseEIP") != "true");
                json!({"RetCode": 0})
            }
            "AllocateEIP" => {
                let id = format!("eip-{}", self.addresses.len());
                self.addresses.push((id.clone(), get("Name"), String::new()));
                if std::mem::take(&mut self.lose_address) {
                    return json!({"RetCode": 110, "Message": "gateway timeout"});
                }
                json!({"RetCode": 0, "EIPSet": [{"EIPId": id}]})
            }
            "DescribeEIP" => {
                let status = |pod: &str| if pod.is_empty() { "free" } else { "used" };
                let all = self
                    .addresses
                    .iter()
                    .map(|(id, name, pod)| json!({"EIPId": id, "Name": name, "Status": status(pod)}));
                let all: Vec<Value> = all.collect();
                json!({"RetCode": 0, "TotalCount": all.len(), "EIPSet": all})
            }
            "BindEIP" => {
                let mine = self.addresses.iter_mut().filter(|(id, ..)| *id == get("EIPId"));
                mine.for_each(|(_, _, pod)| *pod = get("ResourceId"));
                json!({"RetCode": 0})
            }
            "ReleaseEIP" => {
                self.addresses.retain(|(id, ..)| *id != get("EIPId"));
                json!({"RetCode": 0})
            }
            "GetCubeMetrics" => {
                let value = match (get("MetricName").as_str(), get("ResourceId").as_str()) {
                    (_, "cube-2") => return json!({"RetCode": 0, "DataSets": [{"Values": null}]}),
                    ("Cpu", _) => 25.0,
                    ("Memory", _) => 50.0,
                    _ => return json!({"RetCode": 230, "Message": "Params [MetricName] not available"}),
                };
                let [begin, end] = ["BeginTime", "EndTime"].map(|name| get(name).parse::<i64>().unwrap());
                let points =
                    json!([{"Value": value, "Timestamp": end - 30}, {"Value": 1.5, "Timestamp": begin}]);
                json!({"RetCode": 0, "DataSets": [{"MetricName": get("MetricName"), "Values": points}]})
            }
            "GetCubeExecToken" => {
                let page = format!("https://console/terminal?token=t-{}", get("ContainerName"));
                json!({"RetCode": 0, "Token": "t", "TerminalUrl": page})
            }
            other => {
                self.odd = true;
                json!({"RetCode": 161, "Message": format!("Action [{other}] not found")})
            }
        }
    }
}

/// The UDisks of a pod.
pub(super) fn disks(pod: &Value) -> Vec<Value> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.map(|volume| volume["udisk"].clone()).filter(Value::is_object).collect()
}

/// One request per connection.
pub(super) async fn serve(mut stream: TcpStream, cloud: Arc<Mutex<Cloud>>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let body = loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break body.to_owned();
        }
    };
    let form = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let answer = cloud.lock().unwrap().answer(&form).to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
}
