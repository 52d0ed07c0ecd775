//! #[remote] does not apply to a closure: `ray::task(move || ..)` runs it.

use ray::remote;

fn main() {
    let double = #[remote]
    |x: i64| x * 2;
    println!("{}", double(1));
}
