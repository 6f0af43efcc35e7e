//! One decorator around a provider: counts and times every call, and keeps the node's idea of the cloud's health.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::Instant;

use super::cloud_request;
use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve, Warning,
};
use crate::node::{CloudHealth, Outage};
use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};

/// A provider that is measured.
pub struct Measured {
    inner: Arc<dyn Provider>,
    health: Arc<Mutex<CloudHealth>>,
    zero: Instant,
}

impl std::fmt::Debug for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measured").field("provider", &self.inner.name()).finish_non_exhaustive()
    }
}

impl Measured {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Provider>) -> Self {
        Self { inner, health: Arc::default(), zero: Instant::now() }
    }

    /// Whether the cloud counts as unreachable now.
    pub fn outage(&self) -> Outage {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).outage(self.zero.elapsed())
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, CloudError>> + Send,
    ) -> Result<T, CloudError> {
        // A call that is dropped at its deadline is a failure of the cloud as well.
        let mut unanswered = Unanswered { health: &self.health, zero: self.zero, armed: true };
        let began = Instant::now();
        let result = call.await;
        unanswered.armed = false;
        note(&self.health, result.as_ref().err(), self.zero.elapsed());
        cloud_request(self.inner.name(), operation, outcome(result.as_ref().err()), began.elapsed());
        result
    }
}

struct Unanswered<'a> {
    health: &'a Mutex<CloudHealth>,
    zero: Instant,
    armed: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.armed {
            let error = CloudError::Retryable("the cloud does not answer".to_owned());
            note(self.health, Some(&error), self.zero.elapsed());
        }
    }
}

fn note(health: &Mutex<CloudHealth>, error: Option<&CloudError>, now: Duration) {
    let mut health = health.lock().unwrap_or_else(PoisonError::into_inner);
    match error {
        None => health.answered(now),
        Some(error) => health.failed(error, now),
    }
}

const fn outcome(error: Option<&CloudError>) -> &'static str {
    match error {
        None => "ok",
        Some(CloudError::Retryable(_)) => "retryable",
        Some(CloudError::Throttled { .. }) => "throttled",
        Some(CloudError::Capacity(_)) => "capacity",
        Some(CloudError::Invalid(_)) => "invalid",
        Some(CloudError::Auth(_)) => "auth",
        Some(CloudError::Account(_)) => "account",
        Some(CloudError::Gone(_)) => "gone",
    }
}

#[async_trait]
impl Provider for Measured {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn account(&self) -> Option<String> {
        self.inner.account()
    }

    fn network_interop(&self) -> bool {
        self.inner.network_interop()
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        self.call("prepare", self.inner.prepare()).await
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        self.call("create", self.inner.create(request, resolve)).await
    }

    async fn delete(&self, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError> {
        self.call("delete", self.inner.delete(instance, grace_seconds)).await
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        self.call("list", self.inner.list()).await
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        let (health, zero) = (self.health.clone(), self.zero);
        let watched =
            self.inner.watch().inspect(move |item| note(&health, item.as_ref().err(), zero.elapsed()));
        watched.boxed()
    }

    fn warnings(&self) -> BoxStream<'static, Warning> {
        self.inner.warnings()
    }

    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        options: &LogOptions,
    ) -> Result<ByteStream, CloudError> {
        // A followed log of a silent container may be left unanswered: that says nothing about the cloud.
        let began = Instant::now();
        let result = self.inner.logs(instance, container, options).await;
        cloud_request(self.inner.name(), "logs", outcome(result.as_ref().err()), began.elapsed());
        result
    }

    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        self.inner.exec(instance, container, request, streams).await
    }

    async fn attach(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        self.inner.attach(instance, container, request, streams).await
    }

    async fn connect(&self, instance: &Instance, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        self.inner.connect(instance, port).await
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        // Clouds measure apart from what runs instances: no answer here says nothing about the cloud.
        let began = Instant::now();
        let result = self.inner.usage(instances).await;
        cloud_request(self.inner.name(), "usage", outcome(result.as_ref().err()), began.elapsed());
        result
    }
}
