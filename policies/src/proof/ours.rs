//! Which of the extenders are burst's.

use crate::keys;
use crate::scheduler_config::Extender;

/// Where burst-scheduler serves the extender verbs: its ports, and its Service.
const OUR_PLACES: [&str; 3] = [":10260/", ":10261/", "//burst-scheduler.burst-system.svc"];

/// The one that weighs is the extender that manages our marker, else the first at our address.
pub(super) fn position(extenders: &[Extender]) -> Option<usize> {
    let marked = extenders.iter().position(|e| e.manages(keys::MARKER_RESOURCE));
    marked.or_else(|| extenders.iter().position(at_our_address))
}

/// The one that checks is the extender that manages the marker for that, else the one that is asked about every pod.
pub(super) fn checker(extenders: &[Extender]) -> Option<&Extender> {
    let marked = extenders.iter().find(|e| e.manages(keys::CHECKED_RESOURCE));
    marked.or_else(|| extenders.get(position(extenders)?).filter(|e| e.for_every_pod()))
}

fn at_our_address(extender: &Extender) -> bool {
    let url = format!("{}/", extender.url_prefix.trim_end_matches('/'));
    OUR_PLACES.iter().any(|place| url.contains(place))
}
