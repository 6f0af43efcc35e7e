//! The task that reads: one read per owner at a time, however many pods of it ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kube::Client;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::cache::Cache;
use super::kinds::Kinds;
use super::{Owner, OwnerError, Wanted, chain};

type Answer = Result<Vec<Owner>, OwnerError>;

/// A question with the place for its answer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) wanted: Wanted,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) struct Task {
    client: Client,
    cache: Arc<Mutex<Cache>>,
    kinds: Arc<Kinds>,
    questions: mpsc::Receiver<Question>,
    waiting: HashMap<Wanted, Vec<oneshot::Sender<Answer>>>,
    reads: JoinSet<(Wanted, Answer)>,
}

impl Task {
    pub(super) fn new(client: Client, cache: Arc<Mutex<Cache>>, questions: mpsc::Receiver<Question>) -> Self {
        let (waiting, reads) = (HashMap::new(), JoinSet::new());
        Self { client, cache, kinds: Arc::new(Kinds::default()), questions, waiting, reads }
    }

    /// Runs until every handle is gone.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                question = self.questions.recv() => match question {
                    Some(question) => self.ask(question),
                    None => return,
                },
                Some(Ok((wanted, answer))) = self.reads.join_next() => self.answer(&wanted, &answer),
            }
        }
    }

    fn ask(&mut self, question: Question) {
        let waiting = self.waiting.entry(question.wanted.clone()).or_default();
        waiting.push(question.answer);
        if waiting.len() > 1 {
            return;
        }
        let (client, cache, kinds) = (self.client.clone(), Arc::clone(&self.cache), Arc::clone(&self.kinds));
        let wanted = question.wanted;
        self.reads.spawn(async move {
            let answer = chain::read(&client, &cache, &kinds, wanted.clone()).await;
            (wanted, answer)
        });
    }

    fn answer(&mut self, wanted: &Wanted, answer: &Answer) {
        for waiting in self.waiting.remove(wanted).into_iter().flatten() {
            // Who asked may have given up: nothing to tell then.
            drop(waiting.send(answer.clone()));
        }
    }
}
