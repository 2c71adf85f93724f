//! `attributes`, `excludedAttributes` and `returned`: RFC 7644 section 3.9.

use crate::{Error, Object, ResourceType};

/// Which attributes a response shows.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    // private to the implementation
}

impl Projection {
    /// Both parameters are comma-separated lists of attribute paths; unknown names are ignored. Both at once: 400
    /// `invalidValue`.
    pub fn parse(_rt: &ResourceType, _attributes: Option<&str>, _excluded: Option<&str>) -> Result<Self, Error> {
        todo!()
    }
    /// True: no parameter was given, so a stored resource can be shown as it is.
    pub fn is_default(&self) -> bool {
        todo!()
    }
    /// Whether a top-level core attribute (`groups`, `members`) is shown at all, so whether it need be fetched.
    pub fn shows(&self, _attribute: &str) -> bool {
        todo!()
    }
    /// Drops what is not shown from a whole resource.
    pub fn apply(&self, _rt: &ResourceType, _resource: &mut Object) {
        todo!()
    }
}
