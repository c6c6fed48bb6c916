//! Scenarios that the driver image has to pass.
//!
//! | module | what it has |
//! |---|---|
//! | [`world`] | the machine around the driver, built from a seed |
//! | [`migration`] | the migration, the project's main scenario |
//! | [`cases`] | all other scenarios, by name |
//! | [`situations`] | what a program may find that asks the driver |
//! | [`explore`] | cases over many seeds, and what a failure takes |
//! | [`report`] | what a migration found, and how it is told |
//! | [`bench`] | the load that the host's own cost is measured with |
//! | [`args`] | the command line of the migration |

pub mod args;
pub mod bench;
pub mod cases;
pub mod explore;
pub mod migration;
pub mod report;
pub mod situations;
pub mod strangers;
pub mod world;
