//! Rows of a trace, read and judged one by one: a bad row is reported with its line and left out, never guessed.
//!
//! Columns are those of the openb (Alibaba) traces, and a few more; their order is free, unknown ones are named once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, bail};
use policies::simulate::trace::{ENDLESS, Interner, MAX_AMOUNT, MAX_SECONDS, Node, Pod, Size, Trace, Traits};

use super::csv::{self, Record};

/// Reads one file into the trace.
pub(super) type Reader = fn(&str, &str, &mut Trace) -> Result<Complaints>;

/// Bad rows that are written out; the others are counted.
const SHOWN: usize = 20;
/// Pods of a node that says nothing: the kubelet's default.
const NODE_PODS: u32 = 110;

/// What was wrong with a file without making it unusable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    /// `pods.csv line 7: …`, the first ones.
    pub(super) rows: Vec<String>,
    /// Bad rows in all.
    pub(super) bad: usize,
    /// Columns that nothing reads.
    pub(super) ignored: Vec<String>,
}

impl Complaints {
    fn row(&mut self, file: &str, line: usize, what: &str) {
        self.bad += 1;
        if self.rows.len() < SHOWN {
            self.rows.push(format!("{file} line {line}: {what}"));
        }
    }

    /// For people, on stderr.
    pub(super) fn text(&self, file: &str) -> String {
        let mut lines = self.rows.clone();
        if self.bad > lines.len() {
            lines.push(format!("{file}: {} more bad rows", self.bad - lines.len()));
        }
        if self.bad > 0 {
            lines.push(format!("{file}: {} bad rows are left out", self.bad));
        }
        if !self.ignored.is_empty() {
            lines.push(format!("{file}: columns not read: {}", self.ignored.join(", ")));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

/// Where the columns of a file are.
struct Columns {
    at: HashMap<&'static str, usize>,
    width: usize,
}

/// A row with its columns by name.
struct Row<'r> {
    columns: &'r Columns,
    fields: Vec<Cow<'r, str>>,
}

impl Row<'_> {
    fn get(&self, name: &str) -> &str {
        self.columns.at.get(name).and_then(|i| self.fields.get(*i)).map_or("", |f| f.trim())
    }

    /// The first of the columns that is not empty.
    fn either(&self, names: &[&str]) -> &str {
        names.iter().map(|n| self.get(n)).find(|v| !v.is_empty()).unwrap_or("")
    }

    fn amount(&self, name: &str) -> Result<u32, String> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(0);
        }
        let value = number(text).ok_or_else(|| format!("{name} {text:?} is not a number"))?;
        if value < 0.0 {
            return Err(format!("{name} {text} is below zero"));
        }
        #[expect(clippy::cast_precision_loss, reason = "2^30 is exact")]
        if value > MAX_AMOUNT as f64 {
            return Err(format!("{name} {text} is larger than {MAX_AMOUNT}"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range; a fraction goes up"
        )]
        Ok(value.ceil() as u32)
    }

    fn seconds(&self, name: &str) -> Result<Option<i64>, String> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        let value = number(text).ok_or_else(|| format!("{name} {text:?} is not a number of seconds"))?;
        if value < 0.0 {
            return Err(format!("{name} {text} is below zero"));
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        if value > MAX_SECONDS as f64 {
            return Err(format!("{name} {text} is more than {MAX_SECONDS} seconds"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "in range")]
        Ok(Some(value.floor() as i64))
    }
}

/// Plain decimals, whole or not; no `NaN`, no `inf`, no exponents.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !digits.is_empty();
    plain.then(|| text.parse().ok()).flatten()
}

/// Finds the columns; `needed` must be there, any one of each group.
fn columns(
    file: &str,
    header: Option<Record<'_>>,
    known: &[&'static str],
    needed: &[&[&str]],
    complaints: &mut Complaints,
) -> Result<Columns> {
    let Some(Record { fields: Ok(header), .. }) = header else {
        bail!("{file}: the first line must name the columns");
    };
    let mut at = HashMap::new();
    for (index, name) in header.iter().enumerate() {
        let name = name.trim().to_lowercase();
        match known.iter().find(|k| **k == name) {
            Some(known) if at.insert(*known, index).is_some() => {
                bail!("{file}: column {name} is there twice")
            }
            Some(_) => {}
            None => complaints.ignored.push(name),
        }
    }
    for group in needed {
        if !group.iter().any(|name| at.contains_key(name)) {
            bail!("{file}: column {} is missing; the first line names the columns", group.join(" or "));
        }
    }
    Ok(Columns { at, width: header.len() })
}

/// Calls `row` for every record with the right number of fields.
fn each<'t>(
    file: &str,
    records: csv::Records<'t>,
    columns: &Columns,
    complaints: &mut Complaints,
    mut row: impl FnMut(&Row<'_>) -> Result<(), String>,
) {
    for Record { line, fields } in records {
        let read = match fields {
            Err(quote) => Err(quote.to_owned()),
            Ok(fields) if fields.len() != columns.width => {
                Err(format!("{} fields, the first line has {}", fields.len(), columns.width))
            }
            Ok(fields) => row(&Row { columns, fields }),
        };
        if let Err(what) = read {
            complaints.row(file, line, &what);
        }
    }
}

const POD_COLUMNS: [&str; 12] = [
    "name",
    "namespace",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "creation_time",
    "deletion_time",
    "labels",
    "priority",
    "gpu_model",
    "owner",
    "gang",
];

/// Reads the pods. One without a deletion time lives as long as the trace.
pub(super) fn pods(file: &str, text: &str, trace: &mut Trace) -> Result<Complaints> {
    let mut complaints = Complaints::default();
    let mut records = csv::records(text);
    let needed: [&[&str]; 4] = [&["name"], &["cpu_milli"], &["memory_mib"], &["creation_time"]];
    // openb calls the models `gpu_spec`.
    let known: Vec<&'static str> = POD_COLUMNS.into_iter().chain(["gpu_spec"]).collect();
    let columns = columns(file, records.next(), &known, &needed, &mut complaints)?;
    let mut interner = Interner::default();
    let mut names: HashSet<(u32, Box<str>)> = HashSet::new();
    let mut namespaces: HashMap<String, u32> = HashMap::new();
    let mut endless = Vec::new();
    each(file, records, &columns, &mut complaints, |row| {
        let (pod, traits, ends) = pod(row)?;
        let next = u32::try_from(namespaces.len()).unwrap_or(u32::MAX);
        let namespace = *namespaces.entry(traits.namespace.clone()).or_insert(next);
        if !names.insert((namespace, pod.name.clone())) {
            return Err(format!("pod {}/{} is there twice", traits.namespace, pod.name));
        }
        if !ends {
            endless.push(trace.pods.len());
        }
        trace.pods.push(Pod { traits: interner.index(traits), ..pod });
        Ok(())
    });
    let end = trace.pods.iter().map(|p| p.deleted.max(p.created)).max().unwrap_or(0);
    for index in endless {
        if let Some(pod) = trace.pods.get_mut(index) {
            pod.deleted = end;
        }
    }
    trace.traits = interner.into_list();
    Ok(complaints)
}

fn pod(row: &Row<'_>) -> Result<(Pod, Traits, bool), String> {
    let name = row.get("name");
    if name.is_empty() {
        return Err("a pod without a name".to_owned());
    }
    let created = row.seconds("creation_time")?.ok_or("creation_time is empty")?;
    let deleted = row.seconds("deletion_time")?;
    if deleted.is_some_and(|d| d < created) {
        return Err(format!("pod {name}: deletion_time is before creation_time"));
    }
    let priority = match row.get("priority") {
        "" => 0,
        text => text.parse().map_err(|_| format!("priority {text:?} is not a whole number of 32 bits"))?,
    };
    let size = Size {
        cpu_milli: row.amount("cpu_milli")?,
        memory_mib: row.amount("memory_mib")?,
        gpu: row.amount("num_gpu")?,
        pods: 1,
    };
    let models = row.either(&["gpu_model", "gpu_spec"]);
    let traits = Traits {
        namespace: Some(row.get("namespace")).filter(|n| !n.is_empty()).unwrap_or("default").to_owned(),
        labels: labels(row.get("labels"))?,
        owner: owner(row.get("owner")),
        gpu_models: models.split('|').map(str::trim).filter(|m| !m.is_empty()).map(str::to_owned).collect(),
        gang: row.get("gang").to_owned(),
    };
    let deleted_or_now = deleted.unwrap_or(created);
    let pod = Pod { name: name.into(), size, created, deleted: deleted_or_now, priority, traits: 0 };
    Ok((pod, traits, deleted.is_some()))
}

/// `k=v;k2=v2`.
fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("label {pair:?} is not key=value"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    pairs.map(pair).collect()
}

/// `Deployment/web`, or `web` alone for a ReplicaSet's name.
fn owner(text: &str) -> (String, String) {
    match text.split_once('/') {
        Some((kind, name)) => (kind.to_owned(), name.to_owned()),
        None if text.is_empty() => Default::default(),
        None => ("ReplicaSet".to_owned(), text.to_owned()),
    }
}

const NODE_COLUMNS: [&str; 11] = [
    "name",
    "sn",
    "cpu_milli",
    "memory_mib",
    "gpu",
    "num_gpu",
    "model",
    "gpu_model",
    "pods",
    "labels",
    "provider",
];

/// Reads the nodes. One with a provider is virtual; its empty amounts are no limit.
pub(super) fn nodes(file: &str, text: &str, trace: &mut Trace) -> Result<Complaints> {
    let mut complaints = Complaints::default();
    let mut records = csv::records(text);
    let needed: [&[&str]; 3] = [&["name", "sn"], &["cpu_milli"], &["memory_mib"]];
    let known: Vec<&'static str> = NODE_COLUMNS.into_iter().chain(["zone"]).collect();
    let columns = columns(file, records.next(), &known, &needed, &mut complaints)?;
    let mut names = HashSet::new();
    each(file, records, &columns, &mut complaints, |row| {
        let node = node(row)?;
        if !names.insert(node.name.clone()) {
            return Err(format!("node {} is there twice", node.name));
        }
        trace.nodes.push(node);
        Ok(())
    });
    Ok(complaints)
}

fn node(row: &Row<'_>) -> Result<Node, String> {
    let name = row.either(&["name", "sn"]);
    if name.is_empty() {
        return Err("a node without a name".to_owned());
    }
    let provider = Some(row.get("provider")).filter(|p| !p.is_empty()).map(str::to_owned);
    let empty = if provider.is_some() { ENDLESS } else { 0 };
    let amount = |names: &[&str]| match names.iter().find(|n| !row.get(n).is_empty()) {
        Some(name) => row.amount(name),
        None => Ok(empty),
    };
    let pods = match (row.get("pods"), provider.is_some()) {
        ("", true) => ENDLESS,
        ("", false) => NODE_PODS,
        _ => row.amount("pods")?,
    };
    let size = Size {
        cpu_milli: amount(&["cpu_milli"])?,
        memory_mib: amount(&["memory_mib"])?,
        gpu: amount(&["gpu", "num_gpu"])?,
        pods,
    };
    Ok(Node {
        name: name.to_owned(),
        size,
        gpu_model: row.either(&["gpu_model", "model"]).to_owned(),
        labels: labels(row.get("labels"))?,
        provider,
        zone: row.get("zone").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str =
        "name,cpu_milli,memory_mib,num_gpu,creation_time,deletion_time,labels,priority,shape\n";

    fn read(rows: &str) -> (Trace, Complaints) {
        let mut trace = Trace::default();
        let complaints = pods("pods.csv", &(PODS.to_owned() + rows), &mut trace).unwrap();
        (trace, complaints)
    }

    #[test]
    fn bad_rows_are_named_by_line_and_left_out() {
        let check = |row: &str, wanted: &str| {
            let (trace, complaints) = read(&format!("good,1,1,0,0,1,,,\n{row}\nfine,1,1,0,0,1,,,\n"));
            assert_eq!(trace.pods.len(), 2, "{row}");
            assert_eq!(complaints.bad, 1, "{row}");
            assert!(
                complaints.rows[0].starts_with("pods.csv line 3: ") && complaints.rows[0].contains(wanted),
                "{row}: {}",
                complaints.rows[0]
            );
        };
        check("p,1,1,0,-5,1,,,", "creation_time -5 is below zero");
        check("p,1,1,0,5,1,,,", "deletion_time is before creation_time");
        check("p,1,1,0,,1,,,", "creation_time is empty");
        check("p,1,1,0,99999999999999,,,,", "is more than 100000000000 seconds");
        check("p,-1,1,0,0,1,,,", "cpu_milli -1 is below zero");
        check("p,1e9,1,0,0,1,,,", "cpu_milli \"1e9\" is not a number");
        check("p,NaN,1,0,0,1,,,", "is not a number");
        check("p,1,9999999999999,0,0,1,,,", "memory_mib 9999999999999 is larger than");
        check("p,1,1,x,0,1,,,", "num_gpu \"x\" is not a number");
        check("good,1,1,0,0,1,,,", "pod default/good is there twice");
        check(",1,1,0,0,1,,,", "a pod without a name");
        check("p,1,1", "3 fields, the first line has 9");
        check("p,1,1,0,0,1,novalue,,", "label \"novalue\" is not key=value");
        check("p,1,1,0,0,1,,high,", "priority \"high\"");
        check("p\"q,1,1,0,0,1,,,", "a quote inside a field");
    }

    #[test]
    fn the_first_twenty_are_shown_and_the_rest_counted() {
        let (_, complaints) = read(&"p,x,1,0,0,1,,,\n".repeat(33));
        assert_eq!((complaints.rows.len(), complaints.bad), (20, 33));
        let text = complaints.text("pods.csv");
        assert!(text.contains("pods.csv: 13 more bad rows\npods.csv: 33 bad rows are left out\n"), "{text}");
        assert!(text.ends_with("pods.csv: columns not read: shape\n"), "{text}");
    }

    #[test]
    fn what_a_row_says() {
        let (trace, complaints) =
            read("\"a,b\",250,1024.5,2,0.9,,\"app=web;burst.io/policy=auto\",-7,\nlast,1,1,0,40,90,,,\n");
        assert_eq!(complaints.bad, 0);
        let pod = &trace.pods[0];
        assert_eq!((&*pod.name, pod.created, pod.deleted, pod.priority), ("a,b", 0, 90, -7));
        assert_eq!(pod.size, Size { cpu_milli: 250, memory_mib: 1025, gpu: 2, pods: 1 });
        assert_eq!(trace.traits[0].labels["burst.io/policy"], "auto");
        assert_eq!(trace.traits[0].namespace, "default");
    }

    #[test]
    fn a_file_without_its_columns_is_refused() {
        let refused = |text: &str| pods("p.csv", text, &mut Trace::default()).unwrap_err().to_string();
        assert!(refused("").contains("the first line must name the columns"));
        assert!(refused("name,cpu_milli,memory_mib\n").contains("column creation_time is missing"));
        assert!(refused("name,name,cpu_milli\n").contains("column name is there twice"));
    }

    #[test]
    fn nodes_of_openb_and_virtual_ones() {
        let text = "sn,cpu_milli,memory_mib,gpu,model,provider,zone\n\
                    n0,96000,786432,8,V100M32,,\nburst,,,,,huawei,a\nn0,1,1,0,,,\nbad,x,1,0,,,\n";
        let mut trace = Trace::default();
        let complaints = nodes("nodes.csv", text, &mut trace).unwrap();
        assert_eq!(
            complaints.rows,
            [
                "nodes.csv line 4: node n0 is there twice".to_owned(),
                "nodes.csv line 5: cpu_milli \"x\" is not a number".to_owned()
            ]
        );
        let [real, burst] = trace.nodes.as_slice() else { panic!("{:?}", trace.nodes) };
        assert_eq!(real.size, Size { cpu_milli: 96_000, memory_mib: 786_432, gpu: 8, pods: 110 });
        assert_eq!((real.gpu_model.as_str(), burst.zone.as_str()), ("V100M32", "a"));
        assert_eq!((burst.size.cpu_milli, burst.size.pods), (ENDLESS, ENDLESS));
    }
}
