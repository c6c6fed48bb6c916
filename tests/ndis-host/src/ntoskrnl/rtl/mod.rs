//! The run-time library: strings, numbers, identifiers, bit maps.
//!
//! Microsoft Learn, the page of each routine. Those that compare or convert text run at PASSIVE,
//! as their tables may be paged; those that look at buffers only run at any level.

mod ansi;
mod bitmap;
mod guid;
mod misc;
mod numbers;
mod strings;

/// The routines of this folder: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    [
        ansi::exports(),
        bitmap::exports(),
        guid::exports(),
        misc::exports(),
        numbers::exports(),
        strings::exports(),
    ]
    .concat()
}
