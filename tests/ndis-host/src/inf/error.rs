//! What is wrong with a file, and where.

/// An error in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct InfError {
    /// Line, from 1 on; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub kind: InfErrorKind,
}

/// Kind of an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfErrorKind {
    /// A line of a form that its section does not have.
    #[error("{0}")]
    BadEntry(String),
    /// A models section's decoration that cannot be read.
    #[error("decoration \"{0}\" cannot be read")]
    Decoration(String),
    /// A directive that is needed is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// No model of the file, for this system, has the identifier.
    #[error("no model for {id} on this system")]
    NoModel {
        /// The identifier.
        id: String,
    },
    /// A section that is referred to is not there.
    #[error("there is no section [{0}]")]
    NoSection(String),
    /// A number was expected.
    #[error("\"{0}\" is not a number")]
    NotANumber(String),
    /// An entry before the first section.
    #[error("entry outside of any section")]
    OutsideSection,
    /// A section header that is not closed, or has something behind it.
    #[error("section header cannot be read")]
    SectionHeader,
    /// The signature of another system.
    #[error("signature \"{0}\" is not \"$Windows NT$\"")]
    Signature(String),
    /// A quoted text without its end.
    #[error("quoted text without its end")]
    Unquoted,
    /// A `%token%` that `[Strings]` does not have, or without its end.
    #[error("token %{0}% is not defined")]
    UnknownToken(String),
    /// Something that Windows has and this reader has not.
    #[error("{0} is not supported by the test host")]
    Unsupported(String),
}

impl InfErrorKind {
    /// The error at a line.
    pub(super) fn at(self, line: usize) -> InfError {
        InfError { line, kind: self }
    }
}
