//! `ray::get` takes a collection of references, and no iterator.

use ray::remote;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn main() -> ray::Result<()> {
    println!("{:?}", ray::get((0..4).map(|x| square.remote(x)))?);
    let references = vec![square.remote(1)];
    println!("{:?}", ray::get(references.iter())?);
    println!("{:?}", ray::get(9)?);
    let _ = ray::wait((0..4).map(|x| square.remote(x)), 1);
    Ok(())
}
