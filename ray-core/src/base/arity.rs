//! The numbers of parameters that a remote function or method may have, in one place.

/// Calls a macro once for each number of parameters, with that many type names.
macro_rules! for_each_arity {
    ($each:ident) => {
        $each! {}
        $each! { P0 }
        $each! { P0 P1 }
        $each! { P0 P1 P2 }
        $each! { P0 P1 P2 P3 }
        $each! { P0 P1 P2 P3 P4 }
        $each! { P0 P1 P2 P3 P4 P5 }
        $each! { P0 P1 P2 P3 P4 P5 P6 }
        $each! { P0 P1 P2 P3 P4 P5 P6 P7 }
        $each! { P0 P1 P2 P3 P4 P5 P6 P7 P8 }
        $each! { P0 P1 P2 P3 P4 P5 P6 P7 P8 P9 }
        $each! { P0 P1 P2 P3 P4 P5 P6 P7 P8 P9 P10 }
        $each! { P0 P1 P2 P3 P4 P5 P6 P7 P8 P9 P10 P11 }
    };
}
pub(crate) use for_each_arity;
