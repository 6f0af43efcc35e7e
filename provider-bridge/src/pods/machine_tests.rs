use proptest::prelude::*;

use super::*;

const CAP: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(3);

fn context(now: Moment) -> Context {
    Context {
        now,
        synced: true,
        held: false,
        permitted: true,
        hand_back: None,
        finished_ttl: Duration::from_secs(30),
        deletion_patience: Duration::from_secs(10),
        place_patience: Duration::from_secs(20),
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

#[test]
fn without_a_grant_nothing_is_created_and_nothing_that_runs_is_stopped() {
    let without = Context { permitted: false, hand_back: Some(at(0)), ..context(at(100)) };
    let states = [
        Cloud::Absent,
        Cloud::Present,
        Cloud::Finished { since: at(0) },
        Cloud::Unknown { since: at(0) },
        Cloud::Deleting { since: at(99) },
    ];
    for cloud in states {
        for sold_out in [false, true] {
            let record = Record { api: Api::Wanted, cloud, ran: true, sold_out, ..Record::new(at(0)) };
            let new = Record { ran: false, ..record };
            for record in [record, new] {
                let next = next(&record, &without);
                assert!(
                    !matches!(next, Next::Do(Op::Create | Op::Delete { .. } | Op::HandBack)),
                    "{record:?} {next:?}"
                );
            }
        }
    }
}

#[test]
fn a_sold_out_pod_is_handed_back_only_without_an_instance_and_tries_meanwhile() {
    let check = |name: &str, hand_back: Option<u64>, change: fn(&mut Record), expected: Next| {
        let mut record =
            Record { api: Api::Wanted, cloud: Cloud::Absent, sold_out: true, ..Record::new(at(0)) };
        change(&mut record);
        let context = Context { hand_back: hand_back.map(at), ..context(at(100)) };
        assert_eq!(next(&record, &context), expected, "{name}");
    };
    let same = |_: &mut Record| {};
    check("nobody would make a new pod", None, same, Next::Do(Op::Create));
    check("now", Some(100), same, Next::Do(Op::HandBack));
    check(
        "now, although the create is in back-off",
        Some(90),
        |r| r.cloud_backoff.not_before = at(150),
        Next::Do(Op::HandBack),
    );
    check("later: tried again", Some(120), same, Next::Do(Op::Create));
    check("later, in back-off", Some(120), |r| r.cloud_backoff.not_before = at(110), Next::Wait(at(110)));
    check(
        "a budget forbids it: tried again",
        Some(0),
        |r| r.api_backoff.not_before = at(130),
        Next::Do(Op::Create),
    );
    check("there is room again", Some(0), |r| r.sold_out = false, Next::Do(Op::Create));
    check("accepted", Some(0), |r| r.handed_back = true, Next::Idle);
    check("it may exist", Some(0), |r| r.cloud = Cloud::Unknown { since: at(0) }, Next::Look);
    check("it runs", Some(0), |r| (r.cloud, r.ran) = (Cloud::Present, true), Next::Idle);
    check("it ran: it is lost, not handed back", Some(0), |r| r.ran = true, Next::Do(Op::PatchLost));
    let unplaced = |r: &mut Record| (r.cloud, r.unplaced) = (Cloud::Present, Some(at(70)));
    check(
        "accepted without a place, long enough",
        Some(0),
        unplaced,
        Next::Do(Op::Delete { grace_seconds: 0 }),
    );
    check("accepted without a place, nobody would make a new pod", None, unplaced, Next::Idle);
    check(
        "accepted without a place just now",
        Some(0),
        |r| (r.cloud, r.unplaced) = (Cloud::Present, Some(at(95))),
        Next::Wait(at(115)),
    );
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
    permitted: bool,
    hand_back: Option<Moment>,
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
    Permitted(bool),
    /// Whether a controller would make a new pod elsewhere.
    Replaceable(bool),
    SoldOut(bool),
    Unplaced(bool),
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
        1 => any::<bool>().prop_map(Step::Permitted),
        1 => any::<bool>().prop_map(Step::Replaceable),
        1 => any::<bool>().prop_map(Step::SoldOut),
        1 => any::<bool>().prop_map(Step::Unplaced),
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
            permitted: true,
            hand_back: None,
        }
    }

    fn tell(&mut self, input: Input) {
        learn(&mut self.record, input, self.now, 0.5, CAP);
    }

    fn next(&self) -> Next {
        let context = Context { permitted: self.permitted, hand_back: self.hand_back, ..context(self.now) };
        next(&self.record, &context)
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
            Step::Permitted(permitted) => self.permitted = *permitted,
            Step::Replaceable(yes) => self.hand_back = yes.then_some(self.now),
            Step::SoldOut(sold_out) => self.tell(Input::SoldOut(*sold_out)),
            Step::Unplaced(unplaced) if self.instance == Some(false) => self.tell(Input::Unplaced(*unplaced)),
            Step::Unplaced(_) => {}
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
            assert!(self.permitted, "a create without a grant");
            self.creates_since_absence += 1;
        }
        if op == Op::HandBack {
            assert!(
                self.permitted && self.hand_back.is_some(),
                "handed back although nobody makes a new one"
            );
            assert_eq!((self.instance, self.late), (None, None), "handed back while an instance may exist");
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
            Op::HandBack => {
                if !self.api_exists {
                    return Outcome::NotFound;
                }
                if self.user == Api::Wanted {
                    self.user = Api::Deleting { grace_seconds: 5 };
                }
            }
        }
        Outcome::Ok
    }

    /// Everything works from now on: where does it end?
    fn settle(&mut self) {
        self.permitted = true;
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
