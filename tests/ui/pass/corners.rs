//! Unusual items: functions written by a macro, similar parameter names, constants, explicit receivers, `cfg`, visibility.

#![deny(warnings, missing_docs)]

use ray::remote;

macro_rules! power {
    ($name:ident, $t:ty, $x:ident => $body:expr) => {
        #[remote]
        fn $name($x: $t, ys: &[$t], s: &str) -> Result<$t, String> {
            let _ = (ys, s);
            Ok($body)
        }
    };
}
power!(cubed, i64, x => x * x * x);

#[remote]
fn names(_x: i64, x: i64, _type: i64, _: u8, __y: i64) -> i64 {
    _x + x + _type + __y
}
#[remote]
fn fails(x: i64) -> Result<i64, &'static str> {
    if x > 0 { Ok(x) } else { Err("small") }
}
#[remote(local)]
fn statics(x: &'static str, y: &'static [u8]) -> &'static str {
    let _ = y;
    x
}
#[remote(local)]
fn zeros<const N: usize>(x: u8) -> [u8; N] {
    [x; N]
}
/// A type of the program with the name of one of the standard library.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Path(Vec<u32>);
#[remote]
fn points(path: &Path, other: Path, file: &std::path::Path) -> (usize, bool) {
    (path.0.len() + other.0.len(), file.is_absolute())
}
#[remote]
#[allow(dead_code, reason = "the level of a lint is that of the function")]
fn unused() {}
#[remote]
#[expect(dead_code, reason = "the expectation is fulfilled")]
fn unused_as_expected() {}
#[remote]
#[expect(deprecated, reason = "the expectation is fulfilled")]
fn reference(object: ray::ObjectRef<u8>) -> ray::ObjectRef<u8> {
    object
}
#[remote]
fn __() {}
#[remote]
struct Empty;
#[remote]
impl Empty {
    fn new() -> Self {
        Empty
    }
}
#[remote(max_concurrency = 3)]
struct Many<T>(T);
#[remote(local)]
impl<T> Many<T> {
    fn new(x: T) -> Self {
        Many(x)
    }
    #[allow(clippy::needless_arbitrary_self_type, reason = "`#[remote]` must accept an explicit receiver")]
    pub(crate) fn get(self: &Self) -> usize {
        std::mem::size_of_val(&self.0)
    }
    #[allow(clippy::needless_arbitrary_self_type, reason = "`#[remote]` must accept an explicit receiver")]
    pub(crate) fn set(self: &mut Self, x: T) {
        self.0 = x;
    }
}
#[remote]
struct Concrete<T>(T);
#[remote]
impl Concrete<u8> {
    fn new(x: u8) -> Self {
        Concrete(x)
    }
    pub(crate) fn get(&self) -> u8 {
        self.0
    }
}
impl Concrete<u16> {
    fn plain(&self) -> u16 {
        self.0
    }
}
#[cfg(any())]
#[remote]
fn gone(x: Nothing) {}
#[remote]
#[cfg(any())]
fn gone(x: Nothing) {}
mod a {
    pub(crate) mod b {
        #[ray::remote]
        pub(in crate::corners::a) fn deep(x: i64) -> i64 {
            x
        }
    }
    pub(crate) fn go() -> ray::Result<i64> {
        ray::get(b::deep.remote(1))
    }
}
/// Calls all items of this module.
///
/// # Errors
/// If a call fails.
pub fn run() -> ray::Result<()> {
    assert_eq!(ray::get(cubed.remote(3, vec![1], "x"))?, 27);
    assert_eq!(cubed(3, &[1], ""), Ok(27));
    assert_eq!(ray::get(names.remote(1, 2, 3, 0, 4))?, 10);
    assert_eq!(ray::get(fails.remote(0)).unwrap_err().downcast_ref::<&str>(), Some(&"small"));
    assert_eq!(ray::get(statics.remote("x", &[1u8] as &'static [u8]))?, "x");
    assert_eq!(statics("x", &[]), "x");
    assert_eq!((ray::get(zeros.remote::<3>(1))?, zeros.call::<2>(1)), ([1; 3], [1; 2]));
    let path = ray::put(Path(vec![1, 2]));
    assert_eq!(ray::get(points.remote(&path, &path, "file"))?, (4, false));
    let inner = reference.remote(ray::put(1));
    assert_eq!(ray::get(ray::get(inner)?)?, 1);
    ray::get(__.remote())?;
    let _ = Empty::remote();
    let many = Many::remote(1_u64);
    many.set.tell(3);
    assert_eq!(ray::get(many.get.remote())?, 8);
    assert_eq!(ray::get(Concrete::<u8>::remote(3).get.remote())?, 3);
    assert_eq!(Concrete::<u16>(4).plain(), 4);
    assert_eq!(a::go()?, 1);
    Ok(())
}
