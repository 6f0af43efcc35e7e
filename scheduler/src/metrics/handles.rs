//! Handles built once per label set, so that a request does no look-up.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{Kind, Metric};

/// Buckets of the extender's time: 50 µs to 1 s.
const TIME: [f64; 14] =
    [50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1.0];
/// Buckets of admission's time: it may ask the API server.
const ADMISSION_TIME: [f64; 10] = [100e-6, 300e-6, 1e-3, 3e-3, 10e-3, 30e-3, 100e-3, 300e-3, 1.0, 2.0];
/// Buckets of a pod's wait for its grant: at once, to hours behind a ceiling.
const WAIT: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0];
/// Buckets of request sizes.
const BYTES: [f64; 8] = [1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 8_388_608.0, 67_108_864.0];
/// Buckets of node counts.
const NODES: [f64; 8] = [1.0, 10.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0, 15000.0];

/// An extender verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `filter`.
    Filter,
    /// `prioritize`.
    Prioritize,
    /// `preempt`.
    Preempt,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Answered.
    Ok,
    /// The request could not be read.
    BadRequest,
    /// The request was over the size limit.
    TooLarge,
    /// All requests together held too much already.
    NoRoom,
    /// The picture of the cluster is missing or stale.
    NotReady,
}

/// In which form the nodes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Names (`nodeCacheCapable: true`).
    Names,
    /// Whole objects.
    Nodes,
    /// The request was not read that far, or the verb has no such forms.
    None,
}

macro_rules! words {
    ($type:ident { $($variant:ident $word:literal)* }) => {
        impl $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words!(Verb { Filter "filter" Prioritize "prioritize" Preempt "preempt" });
words!(Code { Ok "ok" BadRequest "bad_request" TooLarge "too_large" NoRoom "no_room" NotReady "not_ready" });
words!(Mode { Names "names" Nodes "nodes" None "none" });

struct VerbHandles {
    requests: Vec<Counter>,
    duration: Histogram,
    bytes: Histogram,
    nodes: Histogram,
}

/// All metrics of the process.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    verbs: Vec<VerbHandles>,
    inflight: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Builds the recorder, describes every metric and registers the handles.
    pub fn new() -> Self {
        let recorder = Arc::new(builder().build_recorder());
        Metric::ALL.iter().for_each(|metric| describe(&recorder, *metric));
        let verbs = Verb::ALL.iter().map(|verb| VerbHandles::new(&recorder, *verb)).collect();
        let inflight = recorder.register_gauge(&key(Metric::ExtenderInflight, &[]), &METADATA);
        inflight.set(0.0);
        Self { handle: recorder.handle(), recorder, verbs, inflight }
    }

    /// The recorder, to be installed for what other crates count.
    pub fn recorder(&self) -> Arc<PrometheusRecorder> {
        self.recorder.clone()
    }

    /// What was counted, in the exposition format; without the gauges that come from the snapshot.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves samples out of the histograms' buffers; without it they grow without end.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts a finished extender call.
    pub fn call(&self, verb: Verb, code: Code, mode: Mode, call: Call) {
        let Some(handles) = self.verbs.get(verb as usize) else { return };
        if let Some(counter) = handles.requests.get(code as usize * Mode::ALL.len() + mode as usize) {
            counter.increment(1);
        }
        handles.duration.record(call.took.as_secs_f64());
        handles.bytes.record(number(call.bytes));
        if let Some(nodes) = call.nodes {
            handles.nodes.record(number(nodes));
        }
    }

    /// Counts a request as being worked on until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        self.inflight.increment(1.0);
        InFlight(self.inflight.clone())
    }

    /// Adds one to a counter with labels from closed sets. For rare things: it looks the series up.
    pub fn count<const N: usize>(&self, metric: Metric, labels: [(&'static str, &'static str); N]) {
        debug_assert_eq!(metric.kind(), Kind::Counter, "{}", metric.name());
        self.recorder.register_counter(&key(metric, &labels), &METADATA).increment(1);
    }

    /// Adds a sample to a histogram with labels from closed sets. For rare things: it looks the series up.
    pub fn observe<const N: usize>(
        &self,
        metric: Metric,
        labels: [(&'static str, &'static str); N],
        value: f64,
    ) {
        debug_assert_eq!(metric.kind(), Kind::Histogram, "{}", metric.name());
        self.recorder.register_histogram(&key(metric, &labels), &METADATA).record(value);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is known about a finished call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// From the last byte of the request to the reply.
    pub took: Duration,
    /// Size of the request body.
    pub bytes: usize,
    /// Nodes in the request, if it could be read.
    pub nodes: Option<usize>,
}

/// A request being worked on.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl VerbHandles {
    fn new(recorder: &PrometheusRecorder, verb: Verb) -> Self {
        let of_verb = ("verb", verb.as_str());
        let counter = |code: Code, mode: Mode| {
            let labels = [of_verb, ("code", code.as_str()), ("mode", mode.as_str())];
            recorder.register_counter(&key(Metric::ExtenderRequests, &labels), &METADATA)
        };
        let histogram = |metric| recorder.register_histogram(&key(metric, &[of_verb]), &METADATA);
        let codes = Code::ALL.iter().flat_map(|code| Mode::ALL.iter().map(|mode| (*code, *mode)));
        Self {
            requests: codes.map(|(code, mode)| counter(code, mode)).collect(),
            duration: histogram(Metric::ExtenderDuration),
            bytes: histogram(Metric::ExtenderBytes),
            nodes: histogram(Metric::ExtenderNodes),
        }
    }
}

static METADATA: Metadata<'static> = Metadata::new("burst_scheduler", Level::INFO, Some("burst_scheduler"));

fn key(metric: Metric, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(k, v)| Label::from_static_parts(k, v)).collect();
    Key::from_parts(metric.name(), labels)
}

fn describe(recorder: &PrometheusRecorder, metric: Metric) {
    let name = metrics::KeyName::from_const_str(metric.name());
    let help: SharedString = Cow::Borrowed(metric.help()).into();
    let unit: Option<Unit> = None;
    match metric.kind() {
        Kind::Counter => recorder.describe_counter(name, unit, help),
        Kind::Gauge => recorder.describe_gauge(name, unit, help),
        Kind::Histogram => recorder.describe_histogram(name, unit, help),
    }
}

fn builder() -> PrometheusBuilder {
    let buckets: [(Metric, &[f64]); 5] = [
        (Metric::ExtenderDuration, &TIME),
        (Metric::AdmissionDuration, &ADMISSION_TIME),
        (Metric::DecisionWait, &WAIT),
        (Metric::ExtenderBytes, &BYTES),
        (Metric::ExtenderNodes, &NODES),
    ];
    buckets.into_iter().fold(PrometheusBuilder::new(), |builder, (metric, values)| {
        let name = Matcher::Full(metric.name().to_owned());
        builder.set_buckets_for_metric(name, values).unwrap_or_else(|_| PrometheusBuilder::new())
    })
}

/// A count as a sample; counts here stay far below what a float holds exactly.
#[allow(clippy::cast_precision_loss)]
const fn number(count: usize) -> f64 {
    count as f64
}
