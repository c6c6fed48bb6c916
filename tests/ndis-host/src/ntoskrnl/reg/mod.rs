//! Registry routines.
//!
//! | module | what it has |
//! |---|---|
//! | `keys` | keys opened and values read through handles |
//! | `change` | keys made and deleted, values set and deleted |
//! | `list` | what is in a key |
//! | `relative` | the Rtl routines, which name keys relative to well-known ones |

mod change;
mod keys;
mod list;
mod relative;

/// The routines of this folder: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    [
        vec![
            ("ZwOpenKey", keys::zw_open_key as *const ()),
            ("ZwClose", keys::zw_close as *const ()),
            ("ZwQueryValueKey", keys::zw_query_value_key as *const ()),
        ],
        change::exports(),
        list::exports(),
        relative::exports(),
    ]
    .concat()
}
