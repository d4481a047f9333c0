//! The page at `/`, in a real browser.

use std::process::Command;
use std::time::Duration;

use hallwatch_tests::peers::{free_address, listens, program};
use hallwatch_tests::process::Process;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use thirtyfour::prelude::*;

async fn browser(directory: &std::path::Path) -> (Process, WebDriver) {
    let address = free_address();
    let mut command = Command::new(program("chromedriver", "chromium-driver"));
    command.arg(format!("--port={}", address.port()));
    let driver = Process::start("chromedriver", directory, command).expect("chromedriver");
    listens(address).await;
    let mut capabilities = DesiredCapabilities::chrome();
    let profile = format!("--user-data-dir={}", directory.join("chromium").display());
    for argument in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1600,1000",
        &profile,
    ] {
        capabilities.add_arg(argument).expect("an argument");
    }
    let binary = program("chromium", "chromium");
    capabilities.set_binary(binary.to_str().expect("a path")).expect("a binary");
    let web = WebDriver::new(format!("http://{address}"), capabilities).await.expect("a session");
    (driver, web)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_sites_devices_and_alerts_and_updates_by_itself() {
    let mut site = Site::start(Options { speed: 5, ..Options::default() }).await;
    let (_driver, web) = browser(site.directory()).await;
    web.goto(format!("{}/", site.api)).await.expect("the page");
    let shows = async |text: &str| {
        wait_for(&format!("{text:?} on the page"), Duration::from_secs(40), async || {
            let body = web.find(By::Tag("body")).await.ok()?.text().await.ok()?;
            body.to_lowercase().contains(&text.to_lowercase()).then_some(())
        })
        .await;
    };
    shows("Frankfurt 1").await;
    shows("utility-meter").await;
    shows("ups-a").await;

    // Without a reload: a fault appears, and goes.
    site.cause("utility-off").await;
    shows("UtilityLost").await;
    shows("critical").await;
    let picture = web.screenshot_as_png().await.expect("a picture");
    assert!(picture.len() > 10_000);
    if let Ok(path) = std::env::var("HALLWATCH_PICTURE") {
        std::fs::write(path, picture).expect("the picture");
    }
    site.end("utility-off").await;
    wait_for("the end of the alert on the page", Duration::from_secs(60), async || {
        let body = web.find(By::Tag("body")).await.ok()?.text().await.ok()?;
        (!body.contains("UtilityLost")).then_some(())
    })
    .await;

    // A page that cannot hear its collector must not look healthy.
    site.collector.kill();
    wait_for("the page to say that it is cut off", Duration::from_secs(40), async || {
        let class = web.find(By::Tag("body")).await.ok()?.class_name().await.ok()??;
        class.split(' ').any(|word| word == "frozen").then_some(())
    })
    .await;
    site.restart_collector();
    wait_for("the page to come back", Duration::from_secs(40), async || {
        let class = web.find(By::Tag("body")).await.ok()?.class_name().await.ok()?;
        class.is_none_or(|class| !class.contains("frozen")).then_some(())
    })
    .await;
    web.quit().await.expect("the browser ends");
}
