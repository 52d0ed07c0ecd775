//! `Box<dyn Error>` without `Send + Sync` as the error type.

use std::error::Error;

use ray::remote;

#[remote]
fn parse(text: &str) -> Result<i64, Box<dyn Error>> {
    Ok(text.parse()?)
}

#[remote]
fn send_only(text: &str) -> Result<i64, Box<dyn std::error::Error + Send>> {
    text.parse().map_err(|error| Box::new(error) as _)
}

type Failure = Box<dyn Error>;

#[remote]
fn behind_an_alias(text: &str) -> Result<i64, Failure> {
    Ok(text.parse()?)
}

#[remote]
struct Reader;

#[remote]
impl Reader {
    pub fn new(text: &str) -> Result<Self, Box<dyn Error>> {
        let _: i64 = text.parse()?;
        Ok(Reader)
    }

    pub fn read(&self, text: &str) -> Result<i64, Box<dyn Error>> {
        Ok(text.parse()?)
    }
}

fn main() {
    let _ = parse.remote("1");
}
