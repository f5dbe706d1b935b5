//! Who asks, and what it may register.

use pinnace_types::ServiceName;

/// Whose token a request carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Caller {
    /// Nobody's: what tells nothing but that there is a registry is answered.
    Anyone,
    /// The hub's own: everything is allowed.
    Operator,
    /// A service's: it reads everything and registers itself alone.
    Service(ServiceName),
}

impl Caller {
    /// Whether it may register or change instances of this service.
    pub(crate) fn may_write(&self, service: &str) -> bool {
        match self {
            Self::Anyone => false,
            Self::Operator => true,
            Self::Service(own) => own.as_str().eq_ignore_ascii_case(service),
        }
    }

    /// Whether it may change nodes and what belongs to no service.
    pub(crate) const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator)
    }
}
