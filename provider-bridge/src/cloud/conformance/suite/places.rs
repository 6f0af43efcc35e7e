//! Where a pod's instance is bought: at the first place that has room, and nowhere beside it.

use super::*;

/// A pod for which there is no room goes to the next place at once, and so do those that come later.
pub(super) async fn what_is_sold_out_here_is_bought_at_the_next_place_and_nowhere_twice(
    subject: &dyn Subject,
) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    let Some(next) = subject.sell_out_the_first_place() else { return };
    for uid in ["u-1", "u-2"] {
        create(provider, uid, uid).await;
        assert_eq!(subject.place_of(uid).as_deref(), Some(next));
        assert_eq!(subject.most_at_once(uid), 1);
    }
    assert_eq!(listed(provider).await, ["u-1", "u-2"]);
}

/// Guards money: a create took effect, its answer was lost, and no list shows it yet. That the place is sold out by now, as
/// another pod finds, does not send the first pod to the next place: its instance would be there twice.
pub(super) async fn what_may_have_been_bought_is_not_bought_elsewhere(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    if !subject.lose_the_next_answer() {
        return;
    }
    let lags = subject.lag(true);
    let try_again = async || match provider.create(&request("u-1", "web-1"), &HOME).await {
        Ok(instance) => {
            assert_eq!(instance.pod.uid, "u-1");
            true
        }
        Err(error) => {
            assert!(matches!(error, CloudError::Retryable(_)), "{error:?}");
            false
        }
    };
    assert!(!try_again().await || !lags, "nothing shows it");
    if let Some(next) = subject.sell_out_the_first_place() {
        create(provider, "u-2", "web-2").await;
        assert_eq!(subject.place_of("u-2").as_deref(), Some(next));
    }
    try_again().await;
    subject.lag(false);
    assert!(try_again().await);
    let mine = listed(provider).await.into_iter().filter(|uid| uid == "u-1");
    assert_eq!((mine.count(), subject.most_at_once("u-1")), (1, 1));
}
