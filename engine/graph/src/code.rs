//! What there is to say of a fault's code.

/// One code.
pub struct Code {
    pub name: &'static str,
    pub what: &'static str,
    pub why: &'static str,
    pub mend: &'static str,
}

pub(crate) const fn code(name: &'static str, what: &'static str, why: &'static str, mend: &'static str) -> Code {
    Code { name, what, why, mend }
}
