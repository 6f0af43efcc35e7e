//! What is refused: in words, by what is to be done about it, and with nothing made.

use super::*;

/// What the support table refuses is refused in words, before anything is made.
pub(super) async fn what_cannot_run_is_refused_and_nothing_is_made(subject: &dyn Subject) {
    let provider = subject.provider();
    let mut refused = request("u-1", "web");
    let mut object = (*refused.object).clone();
    object["spec"]["hostNetwork"] = json!(true);
    refused.object = Arc::new(object);
    let error = provider.create(&refused, &HOME).await.unwrap_err();
    assert!(matches!(&error, CloudError::Invalid(text) if text.contains("spec.hostNetwork")), "{error:?}");
    assert_eq!(listed(provider).await, [""; 0]);
}

/// The next create is refused as `why`; what the error was, with nothing made, and the try after it succeeds.
async fn refused_once(subject: &dyn Subject, why: Refused) -> Option<CloudError> {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    if !subject.refuse_the_next_create(why) {
        return None;
    }
    let error = provider.create(&request("u-1", "web"), &HOME).await.unwrap_err();
    assert_eq!(listed(provider).await, [""; 0], "{error:?}");
    create(provider, "u-1", "web").await;
    assert_eq!(listed(provider).await, ["u-1"]);
    Some(error)
}

/// Too many calls are the caller's business: how long to wait is told, and waiting helps.
pub(super) async fn throttling_is_told_with_a_time_to_wait(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::Throttled).await else { return };
    assert!(matches!(&error, CloudError::Throttled { after, .. } if !after.is_zero()), "{error:?}");
}

/// No room moves a pod elsewhere, so it must not look like anything else; later there may be room again.
pub(super) async fn what_is_sold_out_is_told_and_may_be_back(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::SoldOut).await else { return };
    assert!(matches!(error, CloudError::Capacity(_)), "{error:?}");
}

/// Arrears are the operator's business: no pod is refused for good, and the account may be in order again.
pub(super) async fn an_account_that_cannot_buy_is_no_fault_of_the_pod(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::Account).await else { return };
    assert!(matches!(error, CloudError::Account(_)), "{error:?}");
}

/// Neither the pod's Secrets nor the account's credentials are shown.
pub(super) async fn secrets_are_in_no_text(subject: &dyn Subject) {
    let provider = subject.provider();
    let made = create(provider, "u-1", "web").await;
    let mut texts = vec![format!("{made:?}")];
    if subject.lose_the_next_answer() {
        let outcome = provider.create(&request("u-2", "web-2"), &HOME).await;
        texts.push(outcome.map_or_else(|error| format!("{error:?} {error}"), |made| format!("{made:?}")));
    }
    if subject.fail_the_next_list() {
        texts
            .push(provider.list().await.map_or_else(|error| format!("{error:?} {error}"), |_| String::new()));
    }
    for secret in subject.secrets().into_iter().chain(PASSWORD) {
        assert!(texts.iter().all(|text| !text.contains(secret)), "{secret} in {texts:?}");
    }
}
