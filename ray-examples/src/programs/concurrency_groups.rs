//! Not in the article: an actor whose methods run in concurrency groups, as in [Ray's page about
//! them](https://docs.ray.io/en/latest/ray-core/actors/concurrency_group_api.html).
//!
//! A crawler downloads and parses pages. The group `io` lets two downloads run at once, the group `compute` four parsers. The
//! method that reports the progress is in neither group, so it answers although both are full.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ray::remote;

use crate::report::Report;

/// The number of calls that are inside, and the largest number that were inside at once.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Load {
    /// Works for a while.
    fn work(&self, time: Duration) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        std::thread::sleep(time);
        self.now.fetch_sub(1, SeqCst);
    }
}

#[derive(Default)]
#[remote(groups(io = 2, compute = 4))]
struct Crawler {
    downloads: Load,
    parsers: Load,
    pages: AtomicUsize,
    title: String,
}

#[remote(default)]
impl Crawler {
    #[method(group = "io")]
    pub fn download(&self, page: u64) -> String {
        self.downloads.work(Duration::from_millis(20));
        format!("<title>page {page}</title>")
    }

    #[method(group = "compute")]
    pub fn parse(&self, html: &str) -> Result<String, String> {
        self.parsers.work(Duration::from_millis(20));
        self.pages.fetch_add(1, SeqCst);
        let title = html.strip_prefix("<title>").and_then(|html| html.strip_suffix("</title>"));
        title.map(str::to_owned).ok_or_else(|| format!("no title in `{html}`"))
    }

    // Without a group: it runs in the default group, one call at a time.
    pub fn progress(&self) -> usize {
        self.pages.load(SeqCst)
    }

    // `&mut self` has the crawler for itself: it runs when no call of any group does.
    pub fn rename(&mut self, title: String) -> usize {
        self.title = title;
        self.downloads.now.load(SeqCst) + self.parsers.now.load(SeqCst)
    }

    /// The largest numbers of downloads and of parsers at once.
    pub fn loads(&self) -> (usize, usize) {
        (self.downloads.most.load(SeqCst), self.parsers.most.load(SeqCst))
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let crawler = Crawler::remote();

    // Each title is parsed as soon as its page is there.
    let pages: Vec<_> = (0..12).map(|page| crawler.download.remote(page)).collect();
    let titles: Vec<_> = pages.iter().map(|page| crawler.parse.remote(page)).collect();

    // Both groups have work, and the default group answers.
    let progress = ray::get(crawler.progress.remote())?;
    println!("{progress} of 12 pages are parsed");
    assert!(progress < 12, "the downloads take longer than this call");

    let titles = ray::get(titles)?;
    assert_eq!(titles[11], "page 11");
    report
        .took("12 downloads, two at once", start.elapsed())
        .ideal(Duration::from_millis(6 * 20 + 20))
        .near(Duration::from_millis(20));
    let loads = ray::get(crawler.loads.remote())?;
    println!("at most {} downloads and {} parsers at once", loads.0, loads.1);
    assert!(loads.0 == 2 && (1..=4).contains(&loads.1));

    // A call can choose another group: here four parsers and a fifth in the group `io`.
    let parsers = (0..4).map(|_| crawler.parse.remote("<title>x</title>"));
    let calls: Vec<_> = parsers.chain([crawler.parse.options().group("io").remote("<title>y</title>")]).collect();
    assert_eq!(ray::get(calls)?, ["x", "x", "x", "x", "y"]);
    assert_eq!(ray::get(crawler.loads.remote())?.1, 5);

    // A group that does not exist is an error that lists the groups. In `#[method(group = "..")]` it does not compile.
    let error = ray::get(crawler.parse.options().group("disk").remote("")).unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("`io`, `compute`"));

    let busy: Vec<_> = (0..4).map(|page| crawler.download.remote(page)).collect();
    assert_eq!(ray::get(crawler.rename.remote("crawler".to_owned()))?, 0, "nothing runs beside `&mut self`");
    ray::get(busy)?;
    ray::shutdown()
}
