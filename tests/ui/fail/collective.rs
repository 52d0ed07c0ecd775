//! Reductions that are not defined for a type.

use ray::collective::{Group, Mean, Sum};

fn main() -> ray::Result<()> {
    let mut group = Group::members(1)?.remove(0);
    group.allreduce(&mut [1, 2, 3_i32], Mean)?;
    group.reduce(&mut [1_u8], 0, Mean)?;
    group.allreduce(&mut [true], Sum)?;
    group.broadcast(&mut [String::new()], 0)?;
    Ok(())
}
