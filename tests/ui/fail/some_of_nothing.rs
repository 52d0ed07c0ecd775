//! MessagePack encodes `Some(())` and `Some(None)` in the same way as `None`.

use std::collections::HashMap;

use ray::remote;

#[remote]
fn result() -> Option<()> {
    Some(())
}

#[remote]
fn nested(x: HashMap<String, Option<Option<u8>>>) -> Result<Vec<Option<()>>, Option<()>> {
    let _ = x;
    Ok(vec![])
}

#[remote(local)]
fn local(x: Option<Option<u8>>) -> Option<()> {
    x.map(|_| ())
}

fn main() {
    let _ = (result.remote(), local.remote(None));
}
