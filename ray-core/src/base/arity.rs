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

/// Like [`for_each_arity`], with three names for each parameter: the type in which the argument is kept, the type of the argument
/// that a caller passes, and the argument itself.
macro_rules! for_each_signature {
    ($each:ident) => {
        crate::base::arity::for_each_signature! { $each () P0 X0 argument_1, P1 X1 argument_2, P2 X2 argument_3, P3 X3 argument_4, P4 X4 argument_5,
            P5 X5 argument_6, P6 X6 argument_7, P7 X7 argument_8, P8 X8 argument_9, P9 X9 argument_10, P10 X10 argument_11,
            P11 X11 argument_12, }
    };
    ($each:ident ($($before:ident)*)) => {
        $each! { $($before)* }
    };
    ($each:ident ($($before:ident)*) $P:ident $X:ident $argument:ident, $($after:tt)*) => {
        $each! { $($before)* }
        crate::base::arity::for_each_signature! { $each ($($before)* $P $X $argument) $($after)* }
    };
}
pub(crate) use for_each_signature;
