//! What parts that the target is made of say. They cannot import [`log`](crate::log), because it prints
//! by the target.

/// Prints a message if its level, such as `Info`, is enabled.
macro_rules! say {
    ($level:ident, $message:expr) => {
        $crate::log::print($crate::log::Level::$level, $message)
    };
}
pub(crate) use say;

/// Ends the unikernel for a reason that was printed before.
macro_rules! give_up {
    () => {
        $crate::start::abort()
    };
}
pub(crate) use give_up;
