//! `#[cfg]` on a parameter; on the whole function it works.

use ray::remote;

#[remote]
fn read(#[cfg(windows)] drive: u8, #[allow(unused_variables)] path: String) -> u64 {
    0
}

#[remote]
struct Reader;

#[remote]
impl Reader {
    pub fn new() -> Self {
        Reader
    }

    pub fn read(&self, #[cfg(unix)] mode: u32, path: String) -> u64 {
        let _ = path;
        u64::from(mode)
    }
}

#[cfg(windows)]
#[remote]
fn whole(drive: u8) -> u8 {
    drive
}

#[cfg(not(windows))]
#[remote]
fn whole() -> u8 {
    0
}

fn main() {
    let _ = whole.remote();
}
