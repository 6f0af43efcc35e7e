//! The capacity page in a real browser: what it shows, and that it fits a desktop and a phone.
//!
//! Drives headless Chromium over its DevTools protocol. `lab build` (which `make test` runs) installs Chromium where it
//! can; without one this fails and says what to do.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/server.rs"]
mod server;
mod support;

use cluster::testing::FakeApi;
use policies::policy::Policy;
use scheduler::decisions::Decision;
use serde_json::json;

use browser::{Browser, Page};
use server::{eventually, start};
use support::node;

/// Width and height of a desktop and of a phone, in CSS pixels.
const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (360, 740);

/// A cluster in which everything that the page can show is there, with names as long as names get.
fn busy() -> FakeApi {
    let api = FakeApi::new();
    for at in 0..3 {
        api.put(node(&format!("ip-10-11-12-{at}.eu-central-1.compute.internal"), "4", None));
    }
    api.put(node("burst-cci-cn-north-4a", "1000", Some("huawei")));
    let long = "checkout-with-a-very-long-name-that-nobody-would-choose-7f9c6d5b8-x2x4v";
    api.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": long, "namespace": "shop", "uid": "u-1",
            "annotations": {"burst.io/resolved-policy": "localPrefer", "burst.io/policy-source": "Deployment/checkout label burst-to-cci"}},
        "spec": {"nodeName": "burst-cci-cn-north-4a",
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m", "memory": "3Gi"}}}]},
        "status": {"phase": "Running"},
    }));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"name": "web", "namespace": "shop", "uid": "bp"}, "spec": {},
        "status": {
            "pods": {"local": 2, "cloud": 3, "waiting": 4},
            "usage": [
                {"name": "spot-in-the-first-zone", "used": {"cpu": "1500m"}, "max": {"cpu": "2"}},
                {"name": "cloud", "used": {"pods": 3}, "max": {"pods": 3}},
            ],
            "spend": [{"window": "hour", "currency": "CNY", "spent": "0.30", "projected": "1.00", "max": "1.20"}],
            "heldBack": {"CloudLimit": 4},
        },
    }));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "VirtualNodeReport",
        "metadata": {"name": "burst-cci-cn-north-4a", "uid": "r"},
        "spec": {"provider": "huawei", "stockOuts": [{"zone": "cn-north-4a", "class": "gpu-8", "since": 1_800_000_000,
            "until": 1_800_000_090, "failures": 2, "message": "The requested resources are sold out in this availability zone."}]},
    }));
    api
}

fn decision(outcome: &'static str, node: Option<&str>, sentence: &str) -> Decision {
    Decision {
        time: "2027-01-15T08:00:00Z".parse().expect("a time"),
        uid: "u-2".to_owned(),
        namespace: "shop".to_owned(),
        name: "checkout-7f9c6d5b8-q8q8q".to_owned(),
        policy: Policy::LocalPrefer,
        source: "BurstPolicy/shop/web".to_owned(),
        policy_object: Some("BurstPolicy/shop/web".to_owned()),
        outcome,
        node: node.map(str::to_owned),
        provider: node.map(|_| "huawei".to_owned()),
        reason: "CloudLimit",
        sentence: sentence.to_owned(),
        limits: vec!["cloud: 3 of 3 pods".to_owned()],
        alternatives: vec!["would burst if the ceiling max.cloud were 1 pod higher".to_owned()],
        ..Decision::default()
    }
}

/// Everything that must be readable, at any width.
const SHOWN: [&str; 14] = [
    "BurstPolicy/shop/web",
    "spot-in-the-first-zone, cpu",
    "1500m of 2 (75 %)",
    "3 of 3 (100 %) full",
    "0.30 of 1.20 CNY (25 %)",
    "1.00 CNY projected at the end of the window",
    "2 local, 3 cloud, 4 waiting",
    "CloudLimit",
    "the ceiling in the cloud is reached",
    "sold out in this availability zone",
    "waits: the ceiling is reached",
    "It would burst if the ceiling max.cloud were 1 pod higher",
    "At the limit: cloud: 3 of 3 pods",
    "Live",
];

async fn check(page: &mut Page, (width, height): (u32, u32), picture: &str) {
    page.size(width, height).await;
    page.until("document.getElementById('status').dataset.state === 'live'").await;
    page.until("document.querySelectorAll('#objects article').length === 1").await;
    let text = page.text("document.body.innerText").await;
    for wanted in SHOWN {
        assert!(text.contains(wanted), "{wanted:?} is not shown at {width}:\n{text}");
    }
    let wide = page.number(WIDEST).await;
    assert!(wide <= f64::from(width), "the page is {wide} wide on a screen of {width}");
    let cut = page.text(CUT).await;
    assert_eq!(cut, "", "cut off at {width}");
    page.screenshot(picture).await;
}

/// Width of the content.
const WIDEST: &str = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)";

/// Elements that stick out of the screen and cannot be scrolled to, by their text.
const CUT: &str = "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll') \
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((e) => e.textContent.slice(0, 60)).join('|')";

/// Least contrast of WCAG AA for text, over every element with text of its own.
const CONTRAST: &str = r#"(() => {
  const channel = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const low = [...document.querySelectorAll('body *')].filter((e) => own(e) && e.offsetParent && e.tagName !== 'SCRIPT').map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.textContent.slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
  return low.map(([ratio, text]) => `${ratio.toFixed(2)} ${text}`).join('|');
})()"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_everything_on_a_desktop_and_on_a_phone() {
    let api = busy();
    let server = start(&api, true).await;
    server.app.decisions.push(decision("wait", None, "waits: the ceiling is reached"));
    server.app.decisions.push(decision(
        "cloud",
        Some("burst-cci-cn-north-4a"),
        "bursts to burst-cci-cn-north-4a (huawei)",
    ));
    eventually("the overview is read", async || {
        !server.get("/api/capacity").await.json()["overview"]["at"].is_null()
    })
    .await;
    let mut browser = Browser::start().await;
    let mut page = browser.open(&format!("http://{}/", server.http)).await;
    for dark in [false, true] {
        page.dark(dark).await;
        let theme = if dark { "dark" } else { "light" };
        check(&mut page, DESKTOP, &format!("page-desktop-{theme}.png")).await;
        assert_eq!(page.text(CONTRAST).await, "", "low contrast, {theme}");
        check(&mut page, PHONE, &format!("page-phone-{theme}.png")).await;
    }
    // The measure of overflow can fail.
    page.number("document.body.append(Object.assign(document.createElement('p'), {id: 'wide', textContent: 'wide', style: 'width: 900px'})), 0").await;
    assert!(page.number(WIDEST).await > f64::from(PHONE.0));
    page.number("document.getElementById('wide').remove(), 0").await;
    // The keyboard reaches the content first, and every region that scrolls.
    page.press_tab().await;
    assert_eq!(page.text("document.activeElement.textContent").await, "Skip to content");
    let unreachable = "[...document.querySelectorAll('.scroll')].filter((e) => e.tabIndex !== 0 || !e.getAttribute('aria-labelledby')).length";
    assert!(page.number(unreachable).await.abs() < 0.5);
    // It refreshes by itself.
    api.put(node("node-9", "4", None));
    page.until("document.getElementById('nodes').textContent.includes('node-9')").await;
    // Nothing from elsewhere, nothing refused.
    let elsewhere = "performance.getEntriesByType('resource').filter((r) => !r.name.startsWith(location.origin)).map((r) => r.name).join()";
    assert_eq!(page.text(elsewhere).await, "");
    assert_eq!(page.errors(), Vec::<String>::new());
    // The server goes away: what was shown stays, and it is said.
    let address = server.http;
    server.end().await;
    page.until("document.getElementById('status').dataset.state === 'error'").await;
    let text = page.text("document.body.innerText").await;
    assert!(text.contains("No connection") && text.contains("BurstPolicy/shop/web"), "{address}: {text}");
    browser.end().await;
}
