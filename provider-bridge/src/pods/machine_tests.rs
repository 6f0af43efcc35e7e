use proptest::prelude::*;

use super::*;

const CAP: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(3);

fn context(now: Moment) -> Context {
    Context {
        now,
        synced: true,
        held: false,
        finished_ttl: Duration::from_secs(30),
        deletion_patience: Duration::from_secs(10),
    }
}

fn at(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

/// One row of the table: facts on both sides → what comes next.
fn check(name: &str, api: Api, cloud: Cloud, change: impl FnOnce(&mut Record), expected: Next) {
    let mut record = Record { api, cloud, ..Record::new(at(0)) };
    change(&mut record);
    assert_eq!(next(&record, &context(at(100))), expected, "{name}");
}

#[test]
fn the_table() {
    let deleting = Api::Deleting { grace_seconds: 30 };
    let same = |_: &mut Record| {};
    let look = Cloud::Unknown { since: at(0) };
    let ended = Cloud::Finished { since: at(90) };
    let going = Cloud::Deleting { since: at(95) };
    let now = |op| Next::Do(op);
    check("wanted, nothing there", Api::Wanted, Cloud::Absent, same, now(Op::Create));
    check("wanted, unknown", Api::Wanted, look, same, Next::Look);
    check("wanted, runs", Api::Wanted, Cloud::Present, same, Next::Idle);
    check("wanted, news", Api::Wanted, Cloud::Present, |r| r.dirty = true, now(Op::Patch));
    check(
        "wanted, news that can wait",
        Api::Wanted,
        Cloud::Present,
        |r| (r.dirty, r.quiet_until) = (true, at(101)),
        Next::Wait(at(101)),
    );
    check("wanted, call in flight", Api::Wanted, Cloud::Absent, |r| r.op = Some(Op::Patch), Next::Idle);
    check("wanted, ran and gone", Api::Wanted, Cloud::Absent, |r| r.ran = true, now(Op::PatchLost));
    check(
        "a result outlives the instance",
        Api::Wanted,
        Cloud::Absent,
        |r| (r.ran, r.finished, r.dirty) = (true, true, true),
        now(Op::Patch),
    );
    check("a saved result is never run again", Api::Wanted, Cloud::Absent, |r| r.finished = true, Next::Idle);
    check("trouble is told first", Api::Wanted, Cloud::Absent, |r| r.dirty = true, now(Op::Patch));
    check(
        "back-off",
        Api::Wanted,
        Cloud::Absent,
        |r| r.cloud_backoff.not_before = at(150),
        Next::Wait(at(150)),
    );
    check("deleted by others", Api::Wanted, going, same, Next::Wait(at(105)));
    check("finished, kept", Api::Finished, ended, same, Next::Wait(at(120)));
    check(
        "finished, kept long enough",
        Api::Finished,
        Cloud::Finished { since: at(60) },
        same,
        now(Op::Delete { grace_seconds: 0 }),
    );
    check("finished, gone", Api::Finished, Cloud::Absent, same, Next::Idle);
    check("deleting", deleting, Cloud::Present, same, now(Op::Delete { grace_seconds: 30 }));
    check("deleting, unknown", deleting, look, same, Next::Look);
    check("deleting, accepted", deleting, going, same, Next::Wait(at(135)));
    check("deleting, never confirmed", deleting, Cloud::Deleting { since: at(50) }, same, Next::Look);
    check("deleting, confirmed", deleting, Cloud::Absent, same, now(Op::Remove));
    check("deleting, finalizers", deleting, Cloud::Absent, |r| r.removed = true, Next::Idle);
    check(
        "deleting, result first",
        deleting,
        ended,
        |r| (r.finished, r.dirty) = (true, true),
        now(Op::Patch),
    );
    check(
        "deleting, result refused for good",
        deleting,
        ended,
        |r| {
            (r.finished, r.dirty, r.api_backoff.attempts) = (true, true, 5);
        },
        now(Op::Delete { grace_seconds: 0 }),
    );
    check("force-deleted", Api::Absent, Cloud::Present, same, now(Op::Delete { grace_seconds: 0 }));
    check("force-deleted, unknown", Api::Absent, look, same, Next::Look);
    check("both gone", Api::Absent, Cloud::Absent, same, Next::Forget);
    check("orphan is left to the sweep", Api::Unseen, Cloud::Present, same, Next::Idle);
}

#[test]
fn nothing_happens_before_both_sides_are_listed() {
    for api in [Api::Unseen, Api::Wanted, Api::Finished, Api::Deleting { grace_seconds: 1 }, Api::Absent] {
        for cloud in
            [Cloud::Absent, Cloud::Present, Cloud::Finished { since: at(0) }, Cloud::Unknown { since: at(0) }]
        {
            let record = Record { api, cloud, ..Record::new(at(0)) };
            assert_eq!(
                next(&record, &Context { synced: false, ..context(at(1000)) }),
                Next::Idle,
                "{api:?} {cloud:?}"
            );
        }
    }
}

#[test]
fn a_predecessor_or_a_cordon_holds_only_the_create() {
    let held = Context { held: true, ..context(at(0)) };
    let record = Record { api: Api::Wanted, cloud: Cloud::Absent, ..Record::new(at(0)) };
    assert_eq!(next(&record, &held), Next::Idle);
    let record = Record { cloud: Cloud::Present, dirty: true, ..record };
    assert_eq!(next(&record, &held), Next::Do(Op::Patch));
}

/// virtual-kubelet calls create again when its look-up failed (`node/pod.go`): a failed look-up reads as "absent".
#[test]
fn an_unsure_create_is_looked_up_and_never_repeated_blindly() {
    let mut record = Record { api: Api::Wanted, cloud: Cloud::Absent, ..Record::new(at(0)) };
    learn(&mut record, Input::Started(Op::Create), at(1), 0.5, CAP);
    learn(&mut record, Input::Done(Outcome::Unsure), at(2), 0.5, CAP);
    assert_eq!(next(&record, &context(at(1000))), Next::Look);
    learn(&mut record, Input::Gone, at(1001), 0.5, CAP);
    assert_eq!(next(&record, &context(at(1002))), Next::Do(Op::Create));
}

/// virtual-kubelet fails Job pods for good on one transient error (`node/pod.go`, restartPolicy Never).
#[test]
fn a_create_error_never_finishes_a_pod() {
    for outcome in [Outcome::Refused { after: None }, Outcome::Unsure, Outcome::NotFound] {
        let mut record = Record { api: Api::Wanted, cloud: Cloud::Absent, ..Record::new(at(0)) };
        for n in 0..50 {
            learn(&mut record, Input::Started(Op::Create), at(n * 100), 0.5, CAP);
            learn(&mut record, Input::Done(outcome), at(n * 100), 0.5, CAP);
            learn(&mut record, Input::Gone, at(n * 100), 0.5, CAP);
        }
        assert_eq!(record.api, Api::Wanted);
        assert_eq!(
            next(&record, &context(at(100_000))),
            Next::Do(Op::Create),
            "retried without end: {outcome:?}"
        );
    }
}

/// virtual-kubelet's queue moves a key in back-off to "now" on any event (`internal/queue/queue.go`).
#[test]
fn a_noisy_pod_does_not_defeat_its_own_back_off() {
    let mut record = Record { api: Api::Wanted, cloud: Cloud::Absent, ..Record::new(at(0)) };
    learn(&mut record, Input::Started(Op::Create), at(0), 1.0, CAP);
    learn(&mut record, Input::Done(Outcome::Refused { after: Some(at(20)) }), at(0), 1.0, CAP);
    for n in 0..10 {
        learn(&mut record, Input::Api { api: Api::Wanted, ran: false, finished: false }, at(n), 1.0, CAP);
        assert_eq!(next(&record, &context(at(n))), Next::Wait(at(20)));
    }
}

#[test]
fn an_instance_that_came_and_went_during_its_own_create_is_looked_up() {
    let mut record = Record { api: Api::Wanted, cloud: Cloud::Absent, ..Record::new(at(0)) };
    learn(&mut record, Input::Started(Op::Create), at(1), 0.5, CAP);
    learn(&mut record, Input::Seen { deleting: false, finished: false, ran: true }, at(2), 0.5, CAP);
    learn(&mut record, Input::Gone, at(3), 0.5, CAP);
    learn(&mut record, Input::Done(Outcome::Ok), at(4), 0.5, CAP);
    assert_eq!(next(&record, &context(at(5))), Next::Look);
}

#[test]
fn what_is_known_of_the_api_never_moves_backwards() {
    let mut record = Record::new(at(0));
    for api in [Api::Wanted, Api::Finished, Api::Wanted] {
        learn(&mut record, Input::Api { api, ran: false, finished: false }, at(0), 0.0, CAP);
    }
    assert_eq!(record.api, Api::Finished);
}

/// A cloud and an API server as they really are, beside what the machine believes of them.
#[derive(Debug)]
struct World {
    record: Record,
    now: Moment,
    /// Instance in the cloud; `true` while it is being deleted.
    instance: Option<bool>,
    ended: bool,
    /// A create whose answer was lost and that may still land until this moment.
    late: Option<Moment>,
    api_exists: bool,
    user: Api,
    saved_result: bool,
    creates_since_absence: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Time(u64),
    UserDeletes,
    UserForces,
    CloudLosesIt,
    ContainerEnds,
    Report,
    /// Make the call that the machine wants; how it goes on the other side and how it is answered.
    Act {
        applied: bool,
        answered: u8,
        lands_late: bool,
    },
    LateLands,
    Doubt,
    Resent,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..20u64).prop_map(Step::Time),
        1 => Just(Step::UserDeletes),
        1 => Just(Step::UserForces),
        1 => Just(Step::CloudLosesIt),
        1 => Just(Step::ContainerEnds),
        4 => Just(Step::Report),
        8 => (any::<bool>(), 0..4u8, any::<bool>())
            .prop_map(|(applied, answered, lands_late)| Step::Act { applied, answered, lands_late }),
        1 => Just(Step::LateLands),
        1 => Just(Step::Doubt),
        1 => Just(Step::Resent),
    ];
    proptest::collection::vec(step, 1..80)
}

impl World {
    fn new() -> Self {
        let mut record = Record::new(at(0));
        learn(&mut record, Input::Api { api: Api::Wanted, ran: false, finished: false }, at(0), 0.0, CAP);
        Self {
            record,
            now: at(0),
            instance: None,
            ended: false,
            late: None,
            api_exists: true,
            user: Api::Wanted,
            saved_result: false,
            creates_since_absence: 0,
        }
    }

    fn tell(&mut self, input: Input) {
        learn(&mut self.record, input, self.now, 0.5, CAP);
    }

    fn next(&self) -> Next {
        next(&self.record, &context(self.now))
    }

    fn tell_api(&mut self) {
        let api = if self.api_exists { self.user } else { Api::Absent };
        self.tell(Input::Api { api, ran: false, finished: api == Api::Finished });
    }

    fn report(&mut self) {
        match self.instance {
            Some(deleting) => {
                self.tell(Input::Seen { deleting, finished: self.ended, ran: true });
                if self.ended && !self.saved_result {
                    self.tell(Input::Dirty(true));
                }
            }
            // A watch tells the end only of what it told before.
            None if !matches!(self.record.cloud, Cloud::Unknown { .. } | Cloud::Absent)
                && self.late.is_none() =>
            {
                self.tell_gone();
            }
            None => {}
        }
    }

    fn tell_gone(&mut self) {
        self.creates_since_absence = 0;
        self.tell(Input::Gone);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Time(seconds) => self.now += at(*seconds),
            Step::UserDeletes if self.api_exists => {
                self.user = Api::Deleting { grace_seconds: 5 };
                self.tell_api();
            }
            Step::UserForces if self.api_exists => {
                self.api_exists = false;
                self.tell_api();
            }
            Step::CloudLosesIt => self.instance = None,
            Step::ContainerEnds => self.ended |= self.instance.is_some(),
            Step::Report => self.report(),
            Step::Act { applied, answered, lands_late } => self.act(*applied, *answered, *lands_late),
            Step::LateLands => self.land(),
            Step::Doubt => self.tell(Input::Doubt),
            Step::Resent => self.tell_api(),
            Step::UserDeletes | Step::UserForces => {}
        }
        if self.late.is_some_and(|until| until < self.now) {
            self.late = None;
        }
    }

    /// The cloud's create is idempotent by UID, as the provider trait demands.
    fn land(&mut self) {
        if self.late.take().is_some_and(|until| until >= self.now) && self.instance.is_none() {
            self.instance = Some(false);
            self.ended = false;
        }
    }

    fn act(&mut self, applied: bool, answered: u8, lands_late: bool) {
        match self.next() {
            Next::Look => self.look(),
            Next::Do(op) => {
                self.tell(Input::Started(op));
                let outcome = self.other_side(op, applied, answered, lands_late);
                if op == Op::Create && matches!(outcome, Outcome::Refused { .. } | Outcome::NotFound) {
                    self.creates_since_absence = 0;
                }
                self.tell(Input::Done(outcome));
            }
            Next::Wait(_) | Next::Idle | Next::Forget => {}
        }
    }

    /// A listing that began late enough tells the truth.
    fn look(&mut self) {
        let Cloud::Unknown { since } = self.record.cloud else { return self.look_now() };
        if self.now >= since + SETTLE {
            self.late = None;
            self.look_now();
        }
    }

    fn look_now(&mut self) {
        if self.instance.is_some() {
            self.tell(Input::Doubt);
            self.report();
        } else {
            self.tell_gone();
        }
    }

    fn other_side(&mut self, op: Op, applied: bool, answered: u8, lands_late: bool) -> Outcome {
        if op == Op::Create {
            assert_eq!(self.creates_since_absence, 0, "a second create without a confirmed absence");
            assert_eq!(self.instance, None, "a create while the instance exists");
            assert!(!self.record.finished, "a pod with a result is never run again");
            self.creates_since_absence += 1;
        }
        if op == Op::Remove {
            assert_eq!(self.instance, None, "the API object was removed while the instance existed");
            assert_eq!(self.late, None, "the API object was removed while a create could still land");
        }
        match (applied, answered) {
            (true, 0 | 1) => self.apply(op),
            (true, _) => {
                self.apply(op);
                Outcome::Unsure
            }
            (false, 0) => Outcome::Refused { after: None },
            (false, 1) => Outcome::Refused { after: Some(at(2)) },
            (false, _) => {
                if op == Op::Create && lands_late {
                    self.late = Some(self.now + at(2));
                }
                Outcome::Unsure
            }
        }
    }

    fn apply(&mut self, op: Op) -> Outcome {
        match op {
            Op::Create => (self.instance, self.ended) = (Some(false), false),
            Op::Delete { .. } => {
                if self.instance.is_none() {
                    return Outcome::NotFound;
                }
                self.instance = Some(true);
            }
            Op::Patch | Op::PatchLost => {
                if !self.api_exists {
                    return Outcome::NotFound;
                }
                if self.user == Api::Wanted && (self.ended || op == Op::PatchLost) {
                    self.user = Api::Finished;
                }
                self.saved_result |= self.ended;
                self.tell(Input::Dirty(false));
            }
            Op::Remove => self.api_exists = false,
        }
        Outcome::Ok
    }

    /// Everything works from now on: where does it end?
    fn settle(&mut self) {
        for _ in 0..400 {
            self.land();
            if self.instance == Some(true) {
                self.instance = None;
            }
            self.report();
            self.tell_api();
            match self.next() {
                Next::Forget => return,
                Next::Do(_) | Next::Look => self.act(true, 0, false),
                Next::Wait(until) => {
                    self.now = self.now.max(until);
                    continue;
                }
                Next::Idle => {}
            }
            self.now += at(1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Any interleaving keeps the invariants (asserted in `other_side`), and when faults end, both sides agree.
    #[test]
    fn any_interleaving_keeps_the_invariants_and_loses_no_action(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        match (world.api_exists, world.user) {
            (false, _) => prop_assert_eq!(world.instance, None, "a billed instance without a pod: {:?}", world),
            (true, Api::Wanted) => prop_assert!(world.instance == Some(false), "a pod without its instance: {:?}", world),
            (true, Api::Finished) => prop_assert_eq!(world.instance, None, "a finished pod keeps billing: {:?}", world),
            (true, api) => prop_assert!(false, "still {:?}: {:?}", api, world),
        }
    }
}
